"""The rows of a prediction log: one served answer each, as a line of JSON. Closed segments are gzip files of them.

{"id": "<32 hex digits>", "at": "2026-11-29T08:00:00.123Z", "model": "fingers", "version": "3", "package": "<digest>",
 "source": "camera-1", "weight": 1.0, "features": {"brightness": 0.41, …}}
"""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from handful_core.errors import DataError
from handful_core.profile.features import FeatureValue

SUFFIX = ".jsonl.gz"
_MAX_LINE = 1 << 20
"""Characters. A row of a hundred features has three thousand."""


@dataclass(frozen=True, slots=True)
class LogRow:
    """One served answer."""

    id: str
    """Unique for ever: a reader that has seen it drops the row."""
    at: datetime
    """When it was answered, with a time zone."""
    model: str
    version: str
    package: str
    """The package's digest."""
    source: str
    """Which camera or client the image came from, as the request said; "" if it said nothing."""
    weight: float
    """How many answers this row stands for."""
    features: Mapping[str, FeatureValue]

    def line(self) -> str:
        """One line of JSON, with its end."""
        at = self.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        content = {
            "id": self.id,
            "at": at,
            "model": self.model,
            "version": self.version,
            "package": self.package,
            "source": self.source,
            "weight": self.weight,
            "features": dict(self.features),
        }
        return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"


def parse_row(line: str) -> LogRow | None:
    """Read a line; None if it is no row, such as one that was cut off."""
    try:
        return _row(json.loads(line, parse_constant=_refuse)) if len(line) <= _MAX_LINE else None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def read_rows(path: Path) -> Iterator[LogRow]:
    """The rows of a closed segment.

    Raises:
        DataError: it is no segment, or damaged.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(iter(lambda: file.readline(_MAX_LINE + 1), ""), 1):
                row = parse_row(line)
                if row is None:
                    raise _damaged(path, f"line {number} is no row")
                yield row
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise _damaged(path, str(error)) from error


def _row(content: Any) -> LogRow:
    features = content["features"]
    at = datetime.fromisoformat(content["at"])
    row = LogRow(
        id=content["id"],
        at=at if at.tzinfo else at.replace(tzinfo=UTC),
        model=content["model"],
        version=content["version"],
        package=content["package"],
        source=content["source"],
        weight=float(content["weight"]),
        features=features,
    )
    words = (row.id, row.model, row.version, row.package, row.source)
    if not all(isinstance(word, str) for word in words) or not row.id or not 0 < row.weight < math.inf:
        raise ValueError("no row")
    if not all(value is None or isinstance(value, (int, float, str)) for value in features.values()):
        raise ValueError("no row")
    return row


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not a number")


def _damaged(path: Path, why: str) -> DataError:
    return DataError(f"{path} is no whole segment of a prediction log ({why})", "remove it; the others can be read")
