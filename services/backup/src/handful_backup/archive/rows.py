"""Rows of a table as lines of JSON."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from typing import Any

import orjson

Row = Sequence[Any]

_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_APPEND_NEWLINE


def encode_rows(rows: Iterable[Row]) -> bytes:
    """Rows as lines."""
    return b"".join(map(encode_row, rows))


def encode_row(row: Row) -> bytes:
    """A row as one line. What JSON lacks is an object with one key: `$float`, `$bytes`, `$date` or `$time`."""
    if _is_plain(row):
        try:
            return orjson.dumps(row, default=_tagged, option=_OPTIONS)
        except TypeError:  # An integer of more than 64 bits, or half of a surrogate pair: `json` has both.
            pass
    return encode_canonically(row)


def encode_canonically(row: Row) -> bytes:
    """A row as one line of ASCII, always the same for the same row.

    Backups hold hashes of such lines (`run_digests`), which incremental ones compare with their own. So these bytes
    must never change, and the standard library's encoder writes them, as it has since the first backup.
    """
    try:
        return _encode(row).encode("ascii") + b"\n"
    except ValueError:  # A number that is not finite: rare, so the usual row is not searched for one.
        return _encode([_finite(value) for value in row]).encode("ascii") + b"\n"


def decode_row(line: bytes) -> list[Any]:
    """A line's row.

    Raises:
        ValueError: it is none.
    """
    row = json.loads(line)  # orjson would read an integer of more than 64 bits as a float.
    if not isinstance(row, list):
        raise ValueError("not a row")  # noqa: TRY004  # Wrong content, not a wrong argument.
    if b'{"$' in line:
        return [_untagged(value) for value in row]
    return row


_SCALARS = frozenset({str, int, bool, type(None), bytes, memoryview, datetime, date})
"""What orjson writes as `json` does, or hands to `_tagged`."""


def _is_plain(row: Row) -> bool:
    """Whether orjson keeps all of a row: NaN and infinities become null in its hands, in documents as well."""
    for value in row:
        kind = value.__class__
        if kind is float:
            if not math.isfinite(value):
                return False
        elif kind not in _SCALARS:
            return False
    return True


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": str(value)}
    return value


def _tagged(value: Any) -> dict[str, str]:
    if isinstance(value, bytes | memoryview):
        return {"$bytes": base64.b64encode(bytes(value)).decode()}
    if isinstance(value, datetime):
        return {"$time": value.isoformat()}
    if isinstance(value, date):
        return {"$date": value.isoformat()}
    raise TypeError(f"a value of type {type(value).__name__} has no place in a backup")


_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=_tagged).encode

_READERS: dict[str, Callable[[str], Any]] = {
    "$float": float,
    "$bytes": base64.b64decode,
    "$time": datetime.fromisoformat,
    "$date": date.fromisoformat,
}


def _untagged(value: Any) -> Any:
    if isinstance(value, dict) and len(value) == 1:
        ((tag, content),) = value.items()
        if tag in _READERS:
            return _READERS[tag](content)
    return value
