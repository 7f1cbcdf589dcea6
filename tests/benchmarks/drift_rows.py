"""Rows of real images for `drift.py`: what the shipped starter model answers to them, as they are and changed.

A changed image is written again with its own JPEG quality, and strange images get the usual size: neither gives them
away.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from handful_core.files import write_atomically
from handful_core.package.archive import read_folder
from handful_core.profile import Feature, FeatureValue, features_of_model
from handful_core.profile.appearance import jpeg_quality
from handful_core.profile.measurement import features_of
from handful_core.runtime.model import VisionModel, load_model
from handful_core.vision.decode import Pixels, decode_reduced

STARTER = Path(__file__).parents[2] / "models" / "starter.zip"
Row = dict[str, FeatureValue]
Change = Callable[[Pixels, np.random.Generator], Pixels]
_SIZE = (480, 360)


def darker(image: Pixels, _: np.random.Generator) -> Pixels:
    """By 40 %."""
    return np.asarray(image * 0.6 + 0.5, np.uint8)


def blurred(image: Pixels, _: np.random.Generator) -> Pixels:
    """By a Gaussian of 3 pixels."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 3), np.uint8)


def other_camera(image: Pixels, random: np.random.Generator) -> Pixels:
    """Warmer by 8 %, another tone curve, darker corners, and the noise of a small sensor."""
    height, width = image.shape[:2]
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    curve = 255 * (image / 255.0) ** 1.15 * np.array([0.92, 1.0, 1.08])
    lit = curve * (1 - 0.15 * (x**2 + y**2) / 2)[..., None]
    return np.asarray(np.clip(lit + random.normal(0, 4, image.shape), 0, 255), np.uint8)


def as_it_is(image: Pixels, _: np.random.Generator) -> Pixels:
    """Not changed."""
    return image


def usual_size(image: Pixels, _: np.random.Generator) -> Pixels:
    """The middle of the image, at 480 by 360 pixels."""
    height, width = image.shape[:2]
    side = min(width / 4, height / 3)
    across, down = round(4 * side), round(3 * side)
    left, top = (width - across) // 2, (height - down) // 2
    return np.asarray(cv2.resize(image[top : top + down, left : left + across], _SIZE, interpolation=cv2.INTER_AREA))


CHANGES: dict[str, Change] = {"darker": darker, "blurred": blurred, "other camera": other_camera}


def load(data: Path, cache: Path, images: int) -> tuple[tuple[Feature, ...], dict[str, list[Row]], list[list[str]]]:
    """Everything that is measured on.

    Args:
        data: the folder that holds fingers-1500 and the others.
        cache: a folder that keeps the answers between runs.
        images: of each kind, at most.

    Returns:
        The features; rows by kind, of which `usual` and the changed ones belong together by their place; and the
        classes that each usual image shows by its labels.
    """
    with tempfile.TemporaryDirectory(prefix="handful-drift-") as folder:
        model = starter(Path(folder))
        usual = _hands(data / "fingers-1500", images)
        rows = {"usual": _rows(model, usual, as_it_is, cache)}
        rows |= {name: _rows(model, usual, change, cache) for name, change in CHANGES.items()}
        rows["other people"] = _rows(model, _hands(data / "fingers-office-1000", images), as_it_is, cache)
        strange = sorted((data / "beans-field").rglob("*.jpg"))[:images]
        rows["out of distribution"] = _rows(model, strange, usual_size, cache)
        return features_of_model(model.manifest), rows, _labels(data / "fingers-1500", usual)


def starter(folder: Path) -> VisionModel:
    """The starter model, out of its backup."""
    with zipfile.ZipFile(STARTER) as backup:
        manifest = next(name for name in backup.namelist() if name.endswith("/package/manifest.json"))
        root = manifest.removesuffix("manifest.json")
        backup.extractall(folder, [name for name in backup.namelist() if name.startswith(root)])
    return load_model(read_folder(folder / root), 1)


def _hands(folder: Path, images: int) -> list[Path]:
    return sorted((folder / "assets").iterdir())[:images]


def _labels(folder: Path, files: list[Path]) -> list[list[str]]:
    annotations = json.loads((folder / "annotations.json").read_text(encoding="utf-8"))
    return [[box["label"] for box in annotations[file.stem][0]["rectangles"]] for file in files]


def _rows(model: VisionModel, files: list[Path], change: Change, cache: Path) -> list[Row]:
    measured_by = sorted(Path(features_of.__code__.co_filename).parent.glob("a*.py"))
    code = "".join([inspect.getsource(change), *(path.read_text(encoding="utf-8") for path in measured_by)])
    key = hashlib.sha256("\0".join([code, model.package.digest, change.__name__, *map(str, files)]).encode())
    kept = cache / f"{key.hexdigest()[:20]}.json"
    if not kept.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, json.dumps(list(_answers(model, files, change))))
    rows: list[Row] = json.loads(kept.read_text(encoding="utf-8"))
    return rows


def _answers(model: VisionModel, files: list[Path], change: Change) -> Iterator[Row]:
    random = np.random.default_rng(0)
    enough = max(model.manifest.input.width, model.manifest.input.height)
    for file in files:
        data = file.read_bytes()
        if change is not as_it_is:
            pixels = change(decode_reduced(data).pixels, random)
            quality = [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality(data) or 90]
            data = cv2.imencode(".jpg", pixels, quality)[1].tobytes()
        image = decode_reduced(data, enough=enough)
        found = model.predict(image.pixels).scaled(*image.scale)
        yield features_of(data, image, found, model.manifest)


def default_cache() -> Path:
    """Where answers are kept between runs."""
    return Path(tempfile.gettempdir()) / f"handful-drift-{os.getuid() if hasattr(os, 'getuid') else 'cache'}"
