"""Checks of single values in annotation files: the right value, or an error that names the place."""

from __future__ import annotations

import math
from typing import Any

from handful_trainer.data.errors import AnnotationError
from handful_trainer.data.jsonfile import kind_of

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
    if isinstance(value, bool) or not isinstance(value, int | float):
        what = "missing" if value is None else f"{kind_of(value)}, not a number"
        raise AnnotationError(f"{where}: {key} is {what}", "correct it, or export it again")
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    if not math.isfinite(result):
        raise AnnotationError(f"{where}: {key} is no finite number", "correct it, or export it again")
    return result


def plain_name(where: str, key: str, value: Any) -> str:
    """A text that can name a file on any system, and no other place."""
    name = text(where, key, value)
    bad = name.startswith(".") or name != name.strip() or len(name) > _MAX_NAME or not name.isprintable()
    if bad or _RESERVED & set(name):
        raise AnnotationError(f"{where}: {key} {name[:60]!r} cannot name a file", "correct it, or export it again")
    return name
