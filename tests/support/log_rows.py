"""Rows of the prediction log, on a machine and in MLflow."""

from __future__ import annotations

import gzip
import random
from datetime import UTC, datetime
from typing import Any

from fakes.registry import FakeMlflow
from handful_core.profile import LogRow, parse_row, read_rows
from handful_serving.adapters.prediction_log.spool import Spool

MEGABYTE = 1_000_000


def a_row(number: int = 0, **fields: Any) -> LogRow:
    values: dict[str, Any] = {
        "id": f"{number:032x}",
        "at": datetime(2026, 11, 29, 8, tzinfo=UTC),
        "model": "fingers",
        "version": "1",
        "package": "d" * 64,
        "source": "",
        "weight": 1.0,
        "features": {"brightness": 0.5},
    }
    return LogRow(**(values | fields))


def chance(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311  # No secret.


def ids(paths: Any) -> list[int]:
    """Numbers of the rows of segments, in order."""
    return [int(row.id, 16) for path in paths for row in read_rows(path)]


def uploaded(mlflow: FakeMlflow, run_id: str | None = None) -> list[LogRow]:
    """All rows that MLflow has."""
    rows = []
    for data in mlflow.monitoring.segments(run_id).values():
        for line in gzip.decompress(data).decode().splitlines():
            row = parse_row(line)
            assert row is not None, line
            rows.append(row)
    return rows


def fill(spool: Spool, *numbers: int, model: str = "fingers") -> None:
    """One closed segment for each row."""
    for number in numbers:
        spool.append(model, [a_row(number, model=model)])
        spool.close_segments()
