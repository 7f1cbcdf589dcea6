"""From annotated boxes to boxes that can be trained on, and to label files.

Processes that write label files import this module alone: it stays light.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from handful_trainer.dataset.sources.base import RawBox, RawItem

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
DROP_REASONS = ("outside", "zero_area", "negative", "duplicate", "unknown_label")
"""Why a box is left out; besides these, crowd where a source has some."""
_SMALLEST_SIDE = 1e-3
"""Pixels. Less than this vanishes in a label file's decimals."""
_TOLERANCE = 0.05
"""Pixels that a box may reach over the edge by rounding, without being called clipped."""


class Box(NamedTuple):
    """A box inside its image, in pixels of the upright image."""

    class_id: int
    left: float
    top: float
    right: float
    bottom: float
    clipped: bool = False
    """True if it reached over the edge and was cut."""

    @property
    def sides(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom."""
        return self.left, self.top, self.right, self.bottom


class DroppedBox(NamedTuple):
    """A box that was left out, and why."""

    box: RawBox
    """In pixels."""
    reason: str

    @property
    def label(self) -> str:
        """The class it names."""
        return self.box.label


class CleanBoxes(NamedTuple):
    """An image's boxes, sorted out."""

    kept: tuple[Box, ...] = ()
    dropped: tuple[DroppedBox, ...] = ()
    required: bool = False

    @property
    def content(self) -> frozenset[tuple[float, ...]]:
        """The same for two images with the same boxes, whether cut or not."""
        return frozenset((box.class_id, *box.sides) for box in self.kept)


class LabelEntry(NamedTuple):
    """An image's label file. Small: it is sent to another process."""

    name: str
    """Relative to the dataset's folder."""
    width: int
    """Pixels of the image."""
    height: int
    """Pixels of the image."""
    boxes: tuple[Box, ...]


def clean_boxes(item: RawItem, width: int, height: int, class_ids: Mapping[str, int]) -> CleanBoxes:
    """Clip an item's boxes to its image, and drop those that are bad.

    Args:
        item: the asset.
        width: of the upright image, in pixels.
        height: of the upright image, in pixels.
        class_ids: class id by name; labels that are missing here are unknown.
    """
    kept: dict[tuple[float, ...], Box] = {}
    dropped: list[DroppedBox] = []
    single = len({raw.label for raw in item.boxes}) == len(item.boxes)  # One box of each label: none can be doubled.
    for raw in item.boxes:
        in_pixels = _scaled(raw, width, height) if item.relative else raw
        reason = _reason(in_pixels, width, height, class_ids)
        if not reason:
            box = _clipped(in_pixels, width, height, class_ids[raw.label])
            if min(box.right - box.left, box.bottom - box.top) < _SMALLEST_SIDE:
                reason = "outside" if box.clipped else "zero_area"
            elif kept.setdefault((box.class_id,) if single else _key(box), box) is not box:
                reason = "duplicate"
        if reason:
            dropped.append(DroppedBox(in_pixels, reason))
    return CleanBoxes(tuple(kept.values()), tuple(dropped))


def write_labels(folder: str, entries: Sequence[LabelEntry], *, again: bool = False) -> list[None]:
    """Write label files. Without Path, which would take longer than the writing.

    Args:
        folder: the dataset's folder.
        entries: the label files.
        again: some may be there already, or half of one: they are replaced.

    Raises:
        OSError: one cannot be written, or is there already.
    """
    if again:
        for entry in entries:
            Path(folder, entry.name).unlink(missing_ok=True)
    for name, width, height, boxes in entries:
        lines = "".join([f"{label_line(box, width, height)}\n" for box in boxes])
        file = os.open(f"{folder}/{name}", _NEW)
        try:
            os.write(file, lines.encode())
        finally:
            os.close(file)
    return [None] * len(entries)


def label_line(box: Box, width: int, height: int) -> str:
    """The box in YOLO's words: class, centre and size in shares of the image."""
    x, y = (box.left + box.right) / 2 / width, (box.top + box.bottom) / 2 / height
    w, h = (box.right - box.left) / width, (box.bottom - box.top) / height
    return f"{box.class_id} {x:.8f} {y:.8f} {w:.8f} {h:.8f}"


def _reason(box: RawBox, width: int, height: int, class_ids: Mapping[str, int]) -> str:
    """Why a box in pixels is bad as it is; empty if it is not."""
    if box.shape == "crowd":
        return box.shape
    if box.label not in class_ids:
        return "unknown_label"
    if box.width < 0 or box.height < 0:
        return "negative"
    if box.width == 0 or box.height == 0:
        return "zero_area"
    right, bottom = box.x + box.width, box.y + box.height
    if not all(map(math.isfinite, (box.x, box.y, right, bottom))):
        return "outside"
    return "outside" if box.x >= width or box.y >= height or right <= 0 or bottom <= 0 else ""


def _clipped(box: RawBox, width: int, height: int, class_id: int) -> Box:
    right, bottom = box.x + box.width, box.y + box.height
    if box.x >= 0 and box.y >= 0 and right <= width and bottom <= height:
        return Box(class_id, box.x, box.y, right, bottom)
    overhang = max(-box.x, -box.y, right - width, bottom - height)
    return Box(
        class_id, max(box.x, 0.0), max(box.y, 0.0), min(right, width), min(bottom, height), overhang > _TOLERANCE
    )


def _scaled(box: RawBox, width: int, height: int) -> RawBox:
    return box._replace(x=box.x * width, y=box.y * height, width=box.width * width, height=box.height * height)


def _key(box: Box) -> tuple[float, ...]:
    """Boxes that agree in this are one and the same."""
    return (box.class_id, *(round(side, 2) for side in box.sides))
