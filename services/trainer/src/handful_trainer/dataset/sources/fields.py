"""Reading JSON files from outside, and their values one by one: the right value, or an error that names the place."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from handful_trainer.dataset.errors import AnnotationError, DamagedFileError, MissingSourceError
from handful_trainer.dataset.sources.base import RawBox

IN_SHARES, PIXELS_HINT = "in shares of the image", "multiply them by the image's width and height"
"""Reason for which boxes are left out, and what to do."""
_MAX_NAME = 200
_RESERVED = frozenset('/\\:*?"<>|')


class _KeyTwiceError(ValueError):
    def __init__(self, key: str, place: str) -> None:
        super().__init__(key)
        self.key = key
        self.place = place
        """Which object it is, if it says so."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    keys = [key for key, _ in pairs]
    key = next(key for number, key in enumerate(keys) if key in keys[:number])
    name = next((found[key] for key in ("id", "file_name", "name") if isinstance(found.get(key), int | str)), None)
    raise _KeyTwiceError(key, "" if name is None else f" ({str(name)[:60]!r})")


def read_json(path: Path, what: str) -> Any:
    """Read a JSON file.

    Args:
        path: the file.
        what: what it holds, for the error line.

    Raises:
        MissingSourceError: it does not exist.
        DamagedFileError: it is not JSON, or an object has a key twice; the line names the place.
    """
    try:
        return json.loads(path.read_bytes(), object_pairs_hook=_object)
    except (FileNotFoundError, NotADirectoryError):
        raise MissingSourceError(f"{path} is missing", f"it holds {what}; name the folder that has it") from None
    except IsADirectoryError:
        raise MissingSourceError(f"{path} is a folder", f"it should be the file that holds {what}") from None
    except _KeyTwiceError as error:
        raise DamagedFileError(
            f"{path} gives the key {error.key[:60]!r} twice in one object{error.place}",
            "remove one, or export it again",
        ) from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise DamagedFileError(f"{path} is not valid JSON: {error.msg} at {place}", "export it again") from None
    except UnicodeDecodeError as error:
        told = f"{path} is not valid JSON: byte {error.start} is not UTF-8"
        raise DamagedFileError(told, "export it again") from None
    except RecursionError:
        raise DamagedFileError(f"{path} is nested too deeply", "export it again") from None
    except ValueError:  # Python refuses numbers of thousands of digits.
        raise DamagedFileError(f"{path} holds a number that is too long", "export it again") from None


def json_type(value: object) -> str:
    """A JSON value's type in words, for error lines."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def expect_object(where: str, value: Any) -> dict[str, Any]:
    """An object."""
    if not isinstance(value, dict):
        raise AnnotationError(f"{where}: {json_type(value)} where an object should be", "export it again")
    return value


def expect_text(where: str, key: str, value: Any) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value:
        what = "missing" if value is None else "empty" if value == "" else f"{json_type(value)}, not a text"
        raise AnnotationError(f"{where}: {key} is {what}", "correct it, or export it again")
    return value


def expect_number(where: str, key: str, value: Any) -> float:
    """A finite number."""
    if type(value) is not float and type(value) is not int:  # As JSON gives them; true and false are neither.
        what = "missing" if value is None else f"{json_type(value)}, not a number"
        raise AnnotationError(f"{where}: {key} is {what}", "correct it, or export it again")
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    if not math.isfinite(result):
        raise AnnotationError(f"{where}: {key} is not a finite number", "correct it, or export it again")
    return result


def optional_list(where: str, value: dict[str, Any], key: str) -> list[Any]:
    """The list at `key`, empty if there is none."""
    found = value.get(key)
    if found is None:
        return []
    if not isinstance(found, list):
        raise AnnotationError(f"{where}: {key} is {json_type(found)}, not a list", "export it again")
    return found


def expect_point(where: str, key: str, value: Any) -> tuple[float, float]:
    """A list of two numbers."""
    if not isinstance(value, list) or len(value) != 2:
        raise AnnotationError(f"{where}: {key} has a point that is not a list of two numbers", "export it again")
    return expect_number(where, key, value[0]), expect_number(where, key, value[1])


def bounding_box(label: str, points: Sequence[tuple[float, float]]) -> RawBox:
    """The box around a polygon's points; one without an area if there are none."""
    if not points:
        return RawBox(label, 0, 0, 0, 0, "polygon")
    across, down = zip(*points, strict=True)
    return RawBox(label, min(across), min(down), max(across) - min(across), max(down) - min(down), "polygon")


def is_in_shares(box: RawBox) -> bool:
    """Are a box's numbers shares of the image, where they should be pixels? As pixels it would fill a part of one."""
    inside = box.x >= 0 and box.y >= 0 and box.x + box.width <= 1 and box.y + box.height <= 1
    return inside and box.width > 0 and box.height > 0


def shares_among(boxes: Sequence[RawBox], refuse: Callable[[int, str], AnnotationError]) -> list[int]:
    """Positions of the boxes whose numbers are shares of the image: they are to be left out.

    Args:
        boxes: all boxes of a file or a dataset.
        refuse: makes an error of the first one's position and of how many there are.

    Raises:
        AnnotationError: half of the boxes are so: as pixels, hardly one of them could be seen.
    """
    shares = [position for position, box in enumerate(boxes) if is_in_shares(box)]
    seen = sum(box.width > 0 < box.height for box in boxes)
    if shares and len(shares) * 2 >= seen:
        raise refuse(shares[0], f"as {len(shares)} of {seen} are")
    return shares


def expect_file_name(where: str, key: str, value: Any) -> str:
    """A text that can name a file on any system, and no other place."""
    name = expect_text(where, key, value)
    bad = name.startswith(".") or name != name.strip() or len(name) > _MAX_NAME or not name.isprintable()
    if bad or _RESERVED & set(name):
        raise AnnotationError(f"{where}: {key} {name[:60]!r} cannot name a file", "correct it, or export it again")
    return name
