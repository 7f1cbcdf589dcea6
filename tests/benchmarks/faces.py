"""How well faces are found, and how well hands are left alone: the table of docs/serving.md.

    python tests/benchmarks/faces.py --hands FOLDER [--hands FOLDER …] --faces FOLDER [--images 300]

A folder of hands has `assets/*.jpg` and `annotations.json`, as Picsellia's SDK gives them; a folder of faces has images
whose names end with the number of their faces: `zidane.2.jpg`. A hand counts as touched if a twentieth of its box is
blurred.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2

from handful_core.errors import DataError
from handful_core.vision.decode import Pixels, decode_image
from handful_faces.blur import FaceDetector
from handful_faces.centerface import CenterFace
from handful_faces.haar import Haar

_TOUCHED = 0.05


def main() -> None:
    """Measure, and tell."""
    parser = argparse.ArgumentParser(description="How well faces are found.")
    parser.add_argument("--hands", type=Path, action="append", default=[])
    parser.add_argument("--faces", type=Path)
    parser.add_argument("--images", type=int, default=300, help="of each folder of hands")
    parser.add_argument("--save", type=Path, help="folder for the hand images in which a face was found")
    chosen = parser.parse_args()
    cv2.setNumThreads(1)
    hands = [image for folder in chosen.hands for image in _hands(folder, chosen.images)]
    faces = list(_faces(chosen.faces)) if chosen.faces else []
    print(f"{len(hands)} images of hands, {sum(count for _, count in faces)} faces on {len(faces)} photos")
    print("detector           CPU ms   hands touched   images with a face   faces found")
    for name, finder in _finders():
        _row(name, finder, hands, faces, chosen.save)


def _finders() -> Iterator[tuple[str, FaceDetector]]:
    for size in (256, 320, 480):
        yield f"centerface {size}", CenterFace(size, 1)
    yield "haar 320", Haar(320)


def _row(
    name: str,
    finder: FaceDetector,
    hands: list[tuple[str, Pixels, Any]],
    faces: list[tuple[Pixels, int]],
    save: Path | None,
) -> None:
    started, touched, fired = time.process_time(), 0, 0
    for file, pixels, boxes in hands:
        found = finder.find(pixels)
        fired += len(found) > 0
        touched += _touches(found, boxes)
        if save is not None and len(found):
            (save / name.replace(" ", "-")).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(save / name.replace(" ", "-") / file), pixels)
    milliseconds = (time.process_time() - started) * 1e3 / max(1, len(hands))
    hits = sum(min(len(finder.find(pixels)), count) for pixels, count in faces)
    share = 100 * touched / max(1, len(hands))
    print(f"{name:<18}{milliseconds:>7.1f}{touched:>9} ({share:.2f} %){fired:>14}{hits:>20}")
    sys.stdout.flush()


def _touches(faces: Any, hands: Any) -> bool:
    for x1, y1, x2, y2 in faces.tolist():
        for left, top, width, height in hands:
            across = max(0, min(x2, left + width) - max(x1, left))
            down = max(0, min(y2, top + height) - max(y1, top))
            if across * down > _TOUCHED * width * height:
                return True
    return False


def _hands(folder: Path, number: int) -> Iterator[tuple[str, Pixels, Any]]:
    annotations = json.loads((folder / "annotations.json").read_text())
    files = sorted((folder / "assets").glob("*.jpg"))
    random.Random(0).shuffle(files)  # noqa: S311  # No secret.
    for file in files[:number]:
        newest = (annotations.get(file.stem) or [{}])[0]
        boxes = [(b["x"], b["y"], b["w"], b["h"]) for b in newest.get("rectangles", [])]
        try:
            yield file.name, decode_image(file.read_bytes()), boxes
        except DataError:
            continue


def _faces(folder: Path) -> Iterator[tuple[Pixels, int]]:
    for file in sorted(folder.iterdir()):
        yield decode_image(file.read_bytes()), int(file.stem.rpartition(".")[2])


if __name__ == "__main__":
    main()
