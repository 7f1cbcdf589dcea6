"""MLflow's REST API: addresses, limits, numbers in answers, and the tags that an import sets."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

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
SOURCE_VERSION = "handful.source_version"
"""Tags by which an import recognises what it created: the map from a backup's ids to the server's. Their value is the
id in the backup."""

IMPORTED = "handful.imported"
"""Tag of runs and logged models that are complete: the digest of the run in the backup."""

SOURCE_TIMES = "handful.source_times"
"""Tag with creation times and users that REST does not accept, as JSON."""

PLACEHOLDER = "handful.filler"
"""Tag of versions that only use up a number and are deleted at once."""

STARTER = "handful.starter"
"""Tag of a registered model that came with the starter: what the server held then. See `handful_backup.starter`."""

MODEL_VERSIONS = "mlflow.modelVersions"
"""MLflow's tag of a logged model with the versions that were made from it, as JSON. A server adds to it by itself."""

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


def versions_named(value: str | None) -> set[tuple[str, int]]:
    """Names and numbers in a tag `MODEL_VERSIONS`; none in one that somebody wrote otherwise.

    MLflow writes a number as text or as a number, depending on who does, and so has some twice.
    """
    try:
        entries = json.loads(value or "[]")
        return {(str(entry["name"]), int(entry["version"])) for entry in entries}
    except (ValueError, TypeError, KeyError):
        return set()
