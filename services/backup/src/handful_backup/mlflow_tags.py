"""Tags that MLflow writes, and those that an import sets."""

from __future__ import annotations

import json

from handful_core.registry.records import SOURCE_VERSION

PARENT = "mlflow.parentRunId"
MODEL_HISTORY = "mlflow.log-model.history"
"""Tag with JSON that has the run's own id in it."""

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

STARTER = "handful.starter"
"""Tag of a registered model that came with the starter: what the server held then. See `handful_backup.starter`."""

MODEL_VERSIONS = "mlflow.modelVersions"
"""MLflow's tag of a logged model with the versions that were made from it, as JSON. A server adds to it by itself."""

IMPORT_TAGS = frozenset({SOURCE_EXPERIMENT, SOURCE_RUN, SOURCE_MODEL, SOURCE_VERSION, IMPORTED, SOURCE_TIMES})


def versions_named(value: str | None) -> set[tuple[str, int]]:
    """Names and numbers in a tag `MODEL_VERSIONS`; none in one that somebody wrote otherwise.

    MLflow writes a number as text or as a number, depending on who does, and so has some twice.
    """
    try:
        entries = json.loads(value or "[]")
        return {(str(entry["name"]), int(entry["version"])) for entry in entries}
    except (ValueError, TypeError, KeyError):
        return set()
