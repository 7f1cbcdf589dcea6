"""Checks of single values in annotation files: the right value, or an error that names the place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from handful_trainer.dataset.errors import AnnotationError
from handful_trainer.dataset.sources.base import RawBox
from handful_trainer.dataset.sources.jsonfile import kind_of

_MAX_NAME = 200
_RESERVED = frozenset('/\\:*?"<>|')


def entry(where: str, value: Any) -> dict[str, Any]:
    """An object."""
    if not isinstance(value, dict):
        raise AnnotationError(f"{where}: {kind_of(value)} where an object should be", "export it again")
    return value


def text(where: str, key: str, value: Any) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value:
        what = "missing" if value is None else "empty" if value == "" else f"{kind_of(value)}, not a text"
        raise AnnotationError(f"{where}: {key} is {what}", "correct it, or export it again")
    return value


def number(where: str, key: str, value: Any) -> float:
    """A finite number."""
    if type(value) is not float and type(value) is not int:  # As JSON gives them; true and false are neither.
        what = "missing" if value is None else f"{kind_of(value)}, not a number"
        raise AnnotationError(f"{where}: {key} is {what}", "correct it, or export it again")
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    if not math.isfinite(result):
        raise AnnotationError(f"{where}: {key} is no finite number", "correct it, or export it again")
    return result


def listed(where: str, value: dict[str, Any], key: str) -> list[Any]:
    """The list at `key`, empty if there is none."""
    found = value.get(key)
    if found is None:
        return []
    if not isinstance(found, list):
        raise AnnotationError(f"{where}: {key} is {kind_of(found)}, not a list", "export it again")
    return found


def point(where: str, key: str, value: Any) -> tuple[float, float]:
    """A list of two numbers."""
    if not isinstance(value, list) or len(value) != 2:
        raise AnnotationError(f"{where}: {key} has a point that is no list of two numbers", "export it again")
    return number(where, key, value[0]), number(where, key, value[1])


def around(label: str, points: Sequence[tuple[float, float]]) -> RawBox:
    """The box around a polygon's points; one without an area if there are none."""
    if not points:
        return RawBox(label, 0, 0, 0, 0, "polygon")
    across, down = zip(*points, strict=True)
    return RawBox(label, min(across), min(down), max(across) - min(across), max(down) - min(down), "polygon")


def plain_name(where: str, key: str, value: Any) -> str:
    """A text that can name a file on any system, and no other place."""
    name = text(where, key, value)
    bad = name.startswith(".") or name != name.strip() or len(name) > _MAX_NAME or not name.isprintable()
    if bad or _RESERVED & set(name):
        raise AnnotationError(f"{where}: {key} {name[:60]!r} cannot name a file", "correct it, or export it again")
    return name
