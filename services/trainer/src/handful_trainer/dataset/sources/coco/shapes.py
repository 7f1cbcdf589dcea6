"""The box of an annotation record: as it is given, or around its polygons or its mask."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from handful_trainer.dataset.errors import AnnotationError
from handful_trainer.dataset.sources.base import RawBox
from handful_trainer.dataset.sources.coco.rle import mask_bounds
from handful_trainer.dataset.sources.fields import bounding_box, expect_number, json_type

_HINT = "correct it, or export it again"
_NO, _YES = {"", "0", "false", "no"}, {"1", "true", "yes"}


def read_box(where: str, label: str, annotation: dict[str, Any], size: tuple[int, int] | None) -> RawBox | None:
    """The box of a record, None if it has neither a box nor an outline.

    Args:
        where: names the record, for the error line.
        label: the category's name.
        annotation: the record.
        size: width and height that the image's record states.

    Raises:
        AnnotationError: its box, polygons or mask are damaged.
    """
    crowd = _is_crowd(where, annotation.get("iscrowd"))
    given = annotation.get("bbox") or None
    if given is not None and (not isinstance(given, list) or len(given) != 4):
        raise AnnotationError(f"{where}: bbox is not a list of four numbers", _HINT)
    x, y, width, height = (expect_number(where, "bbox", value) for value in given or (0, 0, 0, 0))
    box = RawBox(label, x, y, width, height) if given else None
    if box is None or box.width <= 0 or box.height <= 0:
        box = _around(where, label, annotation.get("segmentation"), size) or box
    return box._replace(shape="crowd") if box and crowd else box


def _around(where: str, label: str, segmentation: Any, size: tuple[int, int] | None) -> RawBox | None:
    """The box around polygons or a mask, None if there are none."""
    if isinstance(segmentation, dict) and segmentation:
        return _around_mask(where, label, segmentation, size)
    if not segmentation:
        return None
    if not isinstance(segmentation, list):
        raise AnnotationError(f"{where}: segmentation is {json_type(segmentation)}, neither polygons nor a mask", _HINT)
    if all(isinstance(part, dict) for part in segmentation):
        masks = [_around_mask(where, label, part, size) for part in segmentation]
        return _union(label, [mask for mask in masks if mask])
    points = list(_points(where, segmentation))
    return bounding_box(label, points) if points else None


def _around_mask(where: str, label: str, mask: dict[str, Any], size: tuple[int, int] | None) -> RawBox | None:
    height, width = _mask_size(where, mask)
    if size is not None and size != (width, height):
        raise AnnotationError(
            f"{where}: its mask is one of {width} x {height} pixels, the image has {size[0]} x {size[1]}", _HINT
        )
    counts = mask.get("counts")
    if not isinstance(counts, str) and not (isinstance(counts, list) and all(type(run) is int for run in counts)):
        raise AnnotationError(f"{where}: the counts of its mask are neither a text nor whole numbers", _HINT)
    try:
        bounds = mask_bounds(height, width, counts)
    except ValueError as error:
        raise AnnotationError(f"{where}: its mask cannot be read: {error}", _HINT) from None
    return RawBox(label, *bounds, "polygon") if bounds else None


def _mask_size(where: str, mask: dict[str, Any]) -> tuple[int, int]:
    """Height and width."""
    size = mask.get("size")
    if isinstance(size, list) and len(size) == 2 and all(type(side) is int and side > 0 for side in size):
        return size[0], size[1]
    raise AnnotationError(f"{where}: the size of its mask is not a pair of whole numbers above 0", _HINT)


def _union(label: str, boxes: list[RawBox]) -> RawBox | None:
    corners = [(box.x + dx * box.width, box.y + dy * box.height) for box in boxes for dx in (0, 1) for dy in (0, 1)]
    return bounding_box(label, corners) if corners else None


def _points(where: str, segmentation: list[Any]) -> Iterator[tuple[float, float]]:
    """The points of an object's polygons: it may have several parts, each a list of x and y by turns, or of pairs."""
    flat = not any(isinstance(part, list | dict) for part in segmentation)
    for part in [segmentation] if flat else segmentation:
        if isinstance(part, list) and part and all(isinstance(point, list) for point in part):
            part = list(itertools.chain.from_iterable(part))  # noqa: PLW2901
        if not isinstance(part, list) or len(part) % 2:
            raise AnnotationError(f"{where}: segmentation is not a list of points", _HINT)
        values = [expect_number(where, "segmentation", value) for value in part]
        yield from zip(values[::2], values[1::2], strict=True)


def _is_crowd(where: str, value: Any) -> bool:
    """Is a record one of many objects at once? Tools write 0, null, false, or "0"."""
    if value is None or isinstance(value, bool | int | float):
        return bool(value)
    word = value.strip().lower() if isinstance(value, str) else None
    if word in _NO or word in _YES:
        return word in _YES
    raise AnnotationError(f"{where}: iscrowd is {json_type(value)}, neither 0 nor 1", _HINT)
