"""MLflow's tables, as far as backups must understand them: what belongs to what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["experiments", "runs", "models", "traces", "registered", "versions"]
Owner = Any
"""What names a thing of some kind: an id, or a tuple of workspace, name and number."""
Record = Mapping[str, Any]

DEFAULT_WORKSPACE = "default"

_EXPERIMENT = ("experiment_id",)
_RUN = ("run_uuid",)
_MODEL = ("model_id",)
_NAME = ("workspace", "name")
_VERSION = ("workspace", "name", "version")


@dataclass(frozen=True, slots=True)
class Belonging:
    """To what kind of thing a table's rows belong, and by which columns."""

    kind: Kind
    columns: tuple[str, ...]


ROOTS: Mapping[Kind, str] = {
    "experiments": "experiments",
    "runs": "runs",
    "models": "logged_models",
    "traces": "trace_info",
    "registered": "registered_models",
    "versions": "model_versions",
}
"""The table that has one row for each thing of a kind."""

BELONGS: Mapping[str, Belonging] = {
    "experiments": Belonging("experiments", _EXPERIMENT),
    "experiment_tags": Belonging("experiments", _EXPERIMENT),
    "datasets": Belonging("experiments", _EXPERIMENT),
    "runs": Belonging("runs", _RUN),
    "params": Belonging("runs", _RUN),
    "tags": Belonging("runs", _RUN),
    "metrics": Belonging("runs", _RUN),
    "latest_metrics": Belonging("runs", _RUN),
    "logged_models": Belonging("models", _MODEL),
    "logged_model_params": Belonging("models", _MODEL),
    "logged_model_tags": Belonging("models", _MODEL),
    "logged_model_metrics": Belonging("models", _MODEL),
    "trace_info": Belonging("traces", ("request_id",)),
    "trace_tags": Belonging("traces", ("request_id",)),
    "trace_request_metadata": Belonging("traces", ("request_id",)),
    "trace_metrics": Belonging("traces", ("request_id",)),
    "spans": Belonging("traces", ("trace_id",)),
    "span_metrics": Belonging("traces", ("trace_id",)),
    "assessments": Belonging("traces", ("trace_id",)),
    "registered_models": Belonging("registered", _NAME),
    "registered_model_tags": Belonging("registered", _NAME),
    "model_versions": Belonging("versions", _VERSION),
    "model_version_tags": Belonging("versions", _VERSION),
    # An alias goes where its version goes.
    "registered_model_aliases": Belonging("versions", _VERSION),
}

INPUTS = "inputs"
INPUT_TAGS = "input_tags"

_LATE = {INPUT_TAGS: 1, "registered_model_aliases": 2}

PASSING = frozenset({"alembic_version", "job_locks", "scheduler_leases"})
"""Tables that tell of a server's processes and not of anybody's work: restored, they would do harm."""

PORTABLE = (
    "experiments",
    "experiment_tags",
    "datasets",
    "runs",
    "params",
    "tags",
    "latest_metrics",
    "metrics",
    "inputs",
    "input_tags",
    "logged_models",
    "logged_model_params",
    "logged_model_tags",
    "logged_model_metrics",
    "registered_models",
    "registered_model_tags",
    "model_versions",
    "model_version_tags",
    "registered_model_aliases",
)
"""The tables that REST can fill, in the order in which rows need those before them."""

DELETED_VERSION = "Deleted_Internal"
"""The stage of a version that was deleted: MLflow keeps its row, so that its number is not given again."""


def in_order(tables: Iterable[str]) -> list[str]:
    """Tables in an order in which rows need those before them, beyond what foreign keys say: tags after inputs."""
    return sorted(tables, key=lambda table: _LATE.get(table, 0))


def owner(table: str, row: Record) -> Owner:
    """What a row of a table in `BELONGS` belongs to."""
    columns = BELONGS[table].columns
    if len(columns) == 1:
        return row[columns[0]]
    return tuple(row.get("workspace") or DEFAULT_WORKSPACE if c == "workspace" else row[c] for c in columns)


def input_run(row: Record) -> str:
    """The run that an input or output belongs to: datasets come first in theirs, models second."""
    return str(row["destination_id"] if row["source_type"] == "DATASET" else row["source_id"])
