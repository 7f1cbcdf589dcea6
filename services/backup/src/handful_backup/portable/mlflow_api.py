"""MLflow's REST API: addresses, limits, and numbers in answers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

HISTORY_BULK = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"
"""What MLflow's own page draws its curves from: one metric of up to a hundred runs at once."""
TRACES = "/api/3.0/mlflow/traces/search"
TIMEOUT = 300
"""Seconds for one answer: large pages take a busy server long."""
ATTEMPTS = 5
RUNS_PER_PAGE = 100
"""Each run has all its params, tags and newest metrics, and a page is in memory as a whole."""
EXPERIMENTS_PER_SEARCH = 100

Json = Mapping[str, Any]


def optional_int(value: Any) -> int | None:
    """A time or count, which MLflow leaves out or sends as text."""
    return int(value) if value else None


def metric_value(value: Any) -> tuple[float, bool]:
    """A metric's value as MLflow's database stores it, and whether it is NaN.

    NaN is stored as 0 with a flag, infinities as the largest numbers.
    """
    number = float(value)
    if math.isnan(number):
        return 0.0, True
    if math.isinf(number):
        return math.copysign(1.7976931348623157e308, number), False
    return number, False


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as MLflow's requests want them."""
    return [{"key": key, "value": value} for key, value in tags.items()]
