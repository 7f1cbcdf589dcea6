"""What the benchmark works with: YOLO11n without training (its speed is the same), and photographs."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from handful_core.package import Input, Manifest, Output, OutputLayout, Package, Producer, Thresholds, write_package
from handful_core.package.archive import describe_files
from handful_core.registry import Version
from handful_serving.adapters.disk_cache import DiskCache


@dataclass(frozen=True)
class Material:
    """Files to measure with."""

    weights: Path
    packages: dict[int, Package]
    """By input size."""


def make(folder: Path) -> Material:
    """Build YOLO11n and export it at 640 and 320 pixels."""
    from ultralytics import YOLO

    model = YOLO("yolo11n.yaml")
    weights = folder / "yolo11n.pt"
    model.save(weights)
    packages = {}
    for size in (640, 320):
        exported = Path(YOLO(weights).export(format="onnx", imgsz=size, opset=17, simplify=True))
        root = folder / f"package-{size}"
        root.mkdir()
        shutil.move(exported, root / "model.onnx")
        packages[size] = write_package(root, _manifest(root, size, [str(k) for k in range(80)]))
    return Material(weights, packages)


def _manifest(root: Path, size: int, classes: list[str]) -> Manifest:
    return Manifest(
        name="bench",
        task="detect",
        architecture="yolo11n",
        classes=tuple(classes),
        input=Input(width=size, height=size),
        output=Output(head=OutputLayout.RAW, shape=()),
        thresholds=Thresholds(),
        opset=17,
        files=describe_files(root),
        producer=Producer(handful="benchmark"),
        created="2026-11-22T00:00:00Z",
    )


def fill_cache(home: Path, package: Package) -> None:
    """Let serving in this home start with the package as its champion, without MLflow."""
    cache = DiskCache(home / "cache" / "models", keep=1)
    with cache.incoming() as incoming:
        for path in package.root.iterdir():
            shutil.copy2(path, incoming / path.name)
        cache.install(incoming, Version("bench", 1))
    cache.save_champions({"bench": 1})
    assert json.loads((home / "cache" / "models" / "champions.json").read_text()) == {"bench": 1}


def photograph(width: int, height: int) -> bytes:
    """A JPEG with the detail of a camera's picture: smooth shapes and some grain; 60 kB at 640 by 480."""
    random = np.random.default_rng(0)
    shapes = cv2.resize(random.integers(0, 256, (24, 32, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    grain = random.normal(0, 3, (height, width, 1))
    pixels = np.clip(shapes + grain, 0, 255).astype(np.uint8)
    done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 85])
    assert done
    return data.tobytes()
