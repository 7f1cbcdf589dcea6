"""What the benchmark works with: photographs, and YOLO11n and EfficientNet-Lite0 untrained."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fakes.packages import allowing, proved
from handful_core.console import only_results_on_stdout
from handful_core.package import (
    Input,
    Manifest,
    OutOfDistribution,
    Output,
    OutputLayout,
    Package,
    PredictionSets,
    Producer,
    write_package,
)
from handful_core.package.archive import describe_files, read_folder
from handful_core.registry import Version
from handful_core.runtime.model import load_model
from handful_serving.adapters.disk_cache import DiskCache
from handful_trainer.packaging.golden import write_golden


@dataclass(frozen=True)
class Material:
    """Files to measure with."""

    weights: Path
    packages: dict[int, Package]
    """By input size: 640 and 320 are detectors, 224 is a classifier that knows its limits."""


def make(folder: Path) -> Material:
    """Build YOLO11n and export it at 640 and 320 pixels, and a classifier at 224."""
    with only_results_on_stdout():  # The exporter tells much, and stdout is for the result.
        return _make(folder)


def _make(folder: Path) -> Material:
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
        raw = Output(head=OutputLayout.RAW, shape=())
        names = [str(number) for number in range(80)]
        packages[size] = write_package(root, _manifest(root, "detect", Input(width=size, height=size), raw, names))
    packages[224] = _classifier(folder / "package-224")
    return Material(weights, packages)


def starter(folder: Path, size: int) -> Package:
    """The starter model at 320 pixels, or exported from its weights at others. It may be served in BF16.

    Whether that is proved is not what is timed; `handful package --precision` proves it.
    """
    root = folder / f"starter-{size}"
    root.mkdir(parents=True)
    with zipfile.ZipFile(Path(__file__).parents[2] / "models" / "starter.zip") as archive:
        for name in archive.namelist():
            if "/artifacts/package/" in name:
                (root / Path(name).name).write_bytes(archive.read(name))
    package = read_folder(root)
    if size != package.manifest.input.width:
        package = _exported(package, size)
    return allowing(package, proved(golden={"score_gap": 0.1, "iou": 0.9}))


def _exported(package: Package, size: int) -> Package:
    from ultralytics import YOLO

    exported = YOLO(package.root / "weights.pt").export(format="onnx", imgsz=size, opset=17, simplify=True)
    shutil.move(exported, package.model_path)
    manifest = package.manifest
    resized = {
        "input": manifest.input.model_copy(update={"width": size, "height": size}),
        "output": manifest.output.model_copy(update={"shape": (), "embedding": None}),
        "out_of_distribution": None,
        "profile": None,
        "golden": None,
    }
    plain = manifest.model_copy(update=resized | {"files": describe_files(package.root)})
    package = write_package(package.root, plain)
    golden = write_golden(load_model(package), [package.root / "golden.png"], package.root)
    return write_package(
        package.root, plain.model_copy(update={"golden": golden, "files": describe_files(package.root)})
    )


def _classifier(root: Path) -> Package:
    """EfficientNet-Lite0 at 224 pixels, with all that a training's package has beside the graph."""
    from handful_trainer.tasks.classification.export.graph import export
    from handful_trainer.tasks.classification.network import Network, write_weights
    from handful_trainer.tasks.classification.settings import ClassificationConfig

    sections = {"dataset": {"source": "sample"}, "model": {"architecture": "tf_efficientnet_lite0"}}
    config = ClassificationConfig.model_validate(sections | {"training": {"imgsz": 224}, "package": {"weights": False}})
    network = Network.of(config, ("healthy", "miner", "rust", "phoma", "cercospora"))
    root.mkdir()
    weights = root.with_suffix(".safetensors")
    write_weights(network.build(), network, weights)
    graph = export(config, weights, root)
    width = graph.output.embedding.shape[1] if graph.output.embedding else 0
    directions, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(width, 64)))
    np.save(root / "reference.npy", np.vstack([np.zeros(width), directions.T]).astype(np.float16))
    limits = {
        "prediction_sets": PredictionSets(probability=0.1, images=100),
        "out_of_distribution": OutOfDistribution(distance=0.2),
    }
    return write_package(root, _manifest(root, "classify", graph.input, graph.output, graph.classes, **limits))


def _manifest(
    root: Path, task: str, given: Input, output: Output, classes: Sequence[str], **limits: object
) -> Manifest:
    fields = {
        "name": "bench",
        "task": task,
        "architecture": "yolo11n" if task == "detect" else "tf_efficientnet_lite0",
        "classes": tuple(classes),
        "input": given,
        "output": output,
        "opset": 17,
        "files": describe_files(root),
        "producer": Producer(handful="benchmark"),
        "created": "2026-11-22T00:00:00Z",
    }
    return Manifest.model_validate(fields | limits)


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
