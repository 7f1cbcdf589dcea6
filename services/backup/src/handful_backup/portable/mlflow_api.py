"""MLflow's REST API: addresses, limits, numbers in answers, and the tags that an import sets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from handful_core.registry.records import SOURCE_VERSION

API = "/api/2.0/mlflow"
HISTORY_BULK = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"
"""What MLflow's own page draws its curves from: one metric of up to a hundred runs at once."""
TRACES = "/api/3.0/mlflow/traces/search"
TIMEOUT = 300
"""Seconds for one answer: large pages take a busy server long."""
ATTEMPTS = 5
RUNS_PER_PAGE = 100
"""Each run has all its params, tags and newest metrics, and a page is in memory as a whole."""
EXPERIMENTS_PER_SEARCH = 100

SOURCE_EXPERIMENT = "handful.source_experiment"
SOURCE_RUN = "handful.source_run"
SOURCE_MODEL = "handful.source_model"
"""Tags by which an import recognises what it created: the map from a backup's ids to the server's. Their value is the
id in the backup."""

IMPORTED = "handful.imported"
"""Tag of runs and logged models that are complete: the digest of the run in the backup."""

SOURCE_TIMES = "handful.source_times"
"""Tag with creation times and users that REST does not accept, as JSON."""

PLACEHOLDER = "handful.filler"
"""Tag of versions that only use up a number and are deleted at once."""

IMPORT_TAGS = frozenset({SOURCE_EXPERIMENT, SOURCE_RUN, SOURCE_MODEL, SOURCE_VERSION, IMPORTED, SOURCE_TIMES})

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
