"""Tiny but real model packages: an ONNX graph that finds coloured squares, its manifest, a golden image.

package = build_package(tmp_path / "package", head="raw")
pixels = picture({(2, 3): "5"})       # a square of class 5 in column 2, row 3
load_model(package).predict(pixels)   # one box: square_box(2, 3), score SURE, count 5
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from fakes.graphs import CELL, COLOURS, GRID, SIZE, Layout, write_graph
from handful_core.package import (
    Calibration,
    ClassMaps,
    Dataset,
    ExtraOutput,
    Golden,
    GoldenDetection,
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
from handful_core.package.archive import describe_files

CLASSES = ("0", "1", "2", "3", "4", "5", "unknown")
COUNTS = {name: int(name) for name in CLASSES[:6]}
SHARPNESS = 6.0
INT8 = "model.int8.onnx"
GOLDEN_SQUARES = {(1, 1): "2", (5, 4): "5"}
HEADS: tuple[Layout, ...] = ("raw", "nms_free", "nms_in_graph", "probabilities", "logits")
DETECTORS: tuple[Layout, ...] = ("raw", "nms_free", "nms_in_graph")

_PURE = ((1 / 3, 1 / 3, 1 / 3), np.array([1, -1, 0]) / np.sqrt(2), np.array([1, 1, -2]) / np.sqrt(6))
"""Mean and directions of red, green and blue: the plane through them."""
_YELLOW = ((0, 0, 0), np.array([1, 1, 0]) / np.sqrt(2), (0, 0, 1))
"""Of all that has as much red as green."""

Damage = Literal["hash", "missing", "manifest", "schema_version", "graph", "golden"]
DAMAGES: tuple[Damage, ...] = ("hash", "missing", "manifest", "schema_version", "graph", "golden")


def sure(sharpness: float = SHARPNESS) -> float:
    """The score of a square that is there."""
    return 1 / (1 + math.exp(-sharpness / 2))


SURE = sure()


def square_box(column: int, row: int) -> tuple[float, float, float, float]:
    """The box of the square in this cell: x1, y1, x2, y2."""
    return (column * CELL, row * CELL, (column + 1) * CELL, (row + 1) * CELL)


def picture(
    squares: Mapping[tuple[int, int], str], classes: Sequence[str] = CLASSES, size: tuple[int, int] = (SIZE, SIZE)
) -> np.ndarray:
    """A black picture with coloured squares.

    Args:
        squares: (column, row) of the cell to class name.
        classes: the names, in the order of the colours.
        size: width and height in pixels.

    Returns:
        (height, width, 3) uint8, BGR.
    """
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    for (column, row), name in squares.items():
        colour = np.uint8(COLOURS[classes.index(name)]) * 255
        pixels[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL] = colour[::-1]
    return pixels


def filled(name: str, classes: Sequence[str] = CLASSES) -> np.ndarray:
    """A picture in the colour of one class, for a classifier."""
    return np.full((SIZE, SIZE, 3), np.uint8(COLOURS[classes.index(name)])[::-1] * 255, np.uint8)


def encode(pixels: np.ndarray, suffix: str = ".png") -> bytes:
    """The picture as a file; PNG keeps every pixel."""
    done, data = cv2.imencode(suffix, pixels)
    assert done
    return data.tobytes()


def build_package(
    root: Path,
    head: Layout = "raw",
    *,
    name: str = "fingers",
    classes: Sequence[str] = CLASSES,
    counts: Mapping[str, int] = COUNTS,
    sharpness: float = SHARPNESS,
    golden: bool = True,
    limits: bool = False,
    **manifest: Any,
) -> Package:
    """Make a package in the new folder `root`.

    Args:
        root: the package's folder.
        head: the graph's output layout; `probabilities` and `logits` make a classifier.
        name: the model's name.
        classes: at most seven names.
        counts: what each class is worth; a classifier counts nothing.
        sharpness: how sure the model is of a square: versions of one model can differ in it.
        golden: whether the package has a golden image.
        limits: whether it knows its limits: colours that are none of its classes', a classifier also sets and maps.
        manifest: other fields of the manifest.
    """
    root.mkdir(parents=True)
    write_graph(root / "model.onnx", head, len(classes), sharpness, limits=limits)
    detects = head in DETECTORS
    expected = None
    if golden:
        answer = _golden_detections if detects else _golden_probabilities
        expected = answer(root / "golden.png", tuple(classes), sharpness)
    known = _limits(root, len(classes), detects=detects) if limits else {}
    fields = {
        "name": name,
        "task": "detect" if detects else "classify",
        "architecture": "tiny",
        "classes": tuple(classes),
        "counts": {k: v for k, v in counts.items() if k in classes} if detects else {},
        "input": Input(width=SIZE, height=SIZE),
        "output": Output(head=OutputLayout(head), shape=(), **known.pop("outputs", {})),
        "opset": 17,
        "files": describe_files(root),
        "golden": expected,
        "dataset": Dataset(name="squares", fingerprint="0" * 64),
        "metrics": {"mAP50": 0.5, "per_class": {}},
        "producer": Producer(handful="0.1.0"),
        "created": "2026-11-21T12:00:00Z",
    }
    return write_package(root, Manifest.model_validate(fields | known | manifest))


def _limits(root: Path, classes: int, *, detects: bool) -> dict[str, Any]:
    """Fields of a manifest that knows its model's limits, and their file.

    Usual are the pure colours of up to three classes, grey is not. Of more classes the fourth's is, orange is not.
    """
    np.save(root / "reference.npy", np.float16(_PURE if classes <= 3 else _YELLOW))
    embedding = ExtraOutput(name="embedding", shape=(1, 3))
    if detects:
        return {"outputs": {"embedding": embedding}, "out_of_distribution": OutOfDistribution(distance=0.05)}
    return {
        "outputs": {
            "embedding": embedding,
            "class_maps": ClassMaps(name="class_maps", shape=(1, classes, GRID, GRID), exact=True),
        },
        "calibration": Calibration(temperature=1.0, images=20),
        "prediction_sets": PredictionSets(probability=0.2, images=20),
        "out_of_distribution": OutOfDistribution(distance=0.05),
    }


def proved(precision: str = "bf16", backend: str = "openvino", **fields: Any) -> dict[str, Any]:
    """What a manifest says of a precision that it allows; `fields` replace some of it."""
    loss = {"metric": "mAP50_95", "value": 0.001, "interval": (-0.001, 0.003), "tolerance": 0.005, "images": 316}
    entry = {
        "precision": precision,
        "backend": backend,
        "model": INT8 if precision == "int8" else None,
        "loss": loss,
        "golden": {"score_gap": 0.05, "iou": 0.95},
        "speed_up": 1.8,
        "processor": "Some Processor",
    }
    return entry | fields


def allowing(package: Package, *entries: Mapping[str, Any], int8: bytes | None = None) -> Package:
    """The package, which allows these precisions (see `proved`).

    Args:
        package: is changed.
        entries: of its manifest's `precisions`.
        int8: the INT8 graph; a copy of the package's own if not given.
    """
    if any(entry["model"] for entry in entries):
        (package.root / INT8).write_bytes(int8 or package.model_path.read_bytes())
    fields = package.manifest.model_dump(mode="json")
    fields |= {"precisions": list(entries), "files": describe_files(package.root)}
    return write_package(package.root, Manifest.model_validate(fields))


def damage(root: Path, kind: Damage) -> None:
    """Break a package in the one way that the check of this kind must find."""
    manifest = json.loads((root / "manifest.json").read_text())
    if kind == "hash":
        data = bytearray((root / "model.onnx").read_bytes())
        data[len(data) // 2] ^= 0xFF
        (root / "model.onnx").write_bytes(data)
    elif kind == "missing":
        (root / "model.onnx").unlink()
    elif kind == "manifest":
        del manifest["classes"]
    elif kind == "schema_version":
        manifest["schema_version"] = "2.0"
    elif kind == "graph":
        manifest["classes"].append("one more")
    else:
        manifest["golden"]["detections"][0]["confidence"] = 0.5
    (root / "manifest.json").write_text(json.dumps(manifest))


def _golden_detections(path: Path, classes: tuple[str, ...], sharpness: float) -> Golden:
    squares = {cell: classes[min(int(name), len(classes) - 1)] for cell, name in GOLDEN_SQUARES.items()}
    path.write_bytes(encode(picture(squares, classes)))
    return Golden(
        image=path.name,
        detections=tuple(
            GoldenDetection(class_id=classes.index(name), confidence=sure(sharpness), box=square_box(*cell))
            for cell, name in squares.items()
        ),
    )


def _golden_probabilities(path: Path, classes: tuple[str, ...], sharpness: float) -> Golden:
    path.write_bytes(encode(filled(classes[0], classes)))
    colours = np.float64(COLOURS[: len(classes)])
    rule = sharpness * ((2 * colours - 1) @ colours[0] + 0.5 - colours.sum(axis=1))
    odds = np.exp(rule - rule.max())
    return Golden(image=path.name, probabilities=tuple((odds / odds.sum()).tolist()))
