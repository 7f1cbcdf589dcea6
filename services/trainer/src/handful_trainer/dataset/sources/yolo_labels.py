"""Reading YOLO's label files, with the meaning that Ultralytics gives them."""

from __future__ import annotations

import math
from pathlib import Path

from handful_trainer.dataset.errors import AnnotationError
from handful_trainer.dataset.sources.base import RawBox


def label_path(image: Path) -> Path:
    """Where an image's labels lie: the last folder called images becomes labels; without one, beside the image."""
    parts = list(image.parts)
    for position in range(len(parts) - 2, -1, -1):
        if parts[position] == "images":
            parts[position] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def read_labels(path: Path, names: tuple[str, ...]) -> tuple[RawBox, ...]:
    """The boxes of a label file, in shares of the image; none if there is no file.

    A line is `class x y width height` (of the box's centre) or `class` and the points of an outline.

    Raises:
        AnnotationError: a line is neither; the error names file and line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except UnicodeDecodeError:
        raise AnnotationError(f"{path} is no text", "write its labels again") from None
    return tuple(_box(f"{path}, line {n}", line.split(), names) for n, line in enumerate(lines, 1) if line.strip())


def _box(where: str, words: list[str], names: tuple[str, ...]) -> RawBox:
    hint = "a line is: class x y width height"
    try:
        values = [float(word) for word in words]
    except ValueError:
        raise AnnotationError(f"{where} holds something that is no number", hint) from None
    is_outline = len(values) >= 7 and len(values) % 2 == 1
    if len(values) != 5 and not is_outline:
        raise AnnotationError(f"{where} holds {len(values)} numbers", hint)
    if not all(map(math.isfinite, values)) or values[0] != int(values[0]):
        raise AnnotationError(f"{where} holds a number that does not fit", hint)
    class_id, *rest = values
    number = int(class_id)
    label = names[number] if 0 <= number < len(names) else f"class {number}"
    if is_outline:
        left, right, top, bottom = min(rest[::2]), max(rest[::2]), min(rest[1::2]), max(rest[1::2])
        return RawBox(label, left, top, right - left, bottom - top, "polygon")
    x, y, width, height = rest
    return RawBox(label, x - width / 2, y - height / 2, width, height)
