"""MLflow's tables, as far as backups must understand them: what belongs to what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from handful_core.registry import CHAMPION

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
class Ownership:
    """To what kind of thing a table's rows belong, and by which columns."""

    kind: Kind
    columns: tuple[str, ...]


ROOT_TABLES: Mapping[Kind, str] = {
    "experiments": "experiments",
    "runs": "runs",
    "models": "logged_models",
    "traces": "trace_info",
    "registered": "registered_models",
    "versions": "model_versions",
}
"""The table that has one row for each thing of a kind."""

OWNERSHIP: Mapping[str, Ownership] = {
    "experiments": Ownership("experiments", _EXPERIMENT),
    "experiment_tags": Ownership("experiments", _EXPERIMENT),
    "datasets": Ownership("experiments", _EXPERIMENT),
    "runs": Ownership("runs", _RUN),
    "params": Ownership("runs", _RUN),
    "tags": Ownership("runs", _RUN),
    "metrics": Ownership("runs", _RUN),
    "latest_metrics": Ownership("runs", _RUN),
    "logged_models": Ownership("models", _MODEL),
    "logged_model_params": Ownership("models", _MODEL),
    "logged_model_tags": Ownership("models", _MODEL),
    "logged_model_metrics": Ownership("models", _MODEL),
    "trace_info": Ownership("traces", ("request_id",)),
    "trace_tags": Ownership("traces", ("request_id",)),
    "trace_request_metadata": Ownership("traces", ("request_id",)),
    "trace_metrics": Ownership("traces", ("request_id",)),
    "spans": Ownership("traces", ("trace_id",)),
    "span_metrics": Ownership("traces", ("trace_id",)),
    "assessments": Ownership("traces", ("trace_id",)),
    "registered_models": Ownership("registered", _NAME),
    "registered_model_tags": Ownership("registered", _NAME),
    "model_versions": Ownership("versions", _VERSION),
    "model_version_tags": Ownership("versions", _VERSION),
    # An alias goes where its version goes.
    "registered_model_aliases": Ownership("versions", _VERSION),
}

INPUTS = "inputs"
INPUT_TAGS = "input_tags"

_LATE = {INPUT_TAGS: 1, "registered_model_aliases": 2}

EPHEMERAL_TABLES = frozenset({"alembic_version", "job_locks", "scheduler_leases"})
"""Tables of a server's running processes. Restored, they would do harm: a lock that nobody releases, for one."""

REST_TABLES = (
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
NO_STAGE = "None"
_PRODUCTION = "Production"


def in_order(tables: Iterable[str]) -> list[str]:
    """Tables in an order in which rows need those before them, beyond what foreign keys say: tags after inputs."""
    return sorted(tables, key=lambda table: _LATE.get(table, 0))


def owner(table: str, row: Record) -> Owner:
    """What a row of a table in `OWNERSHIP` belongs to."""
    columns = OWNERSHIP[table].columns
    if len(columns) == 1:
        return row[columns[0]]
    return tuple(row.get("workspace") or DEFAULT_WORKSPACE if c == "workspace" else row[c] for c in columns)


def input_run(row: Record) -> str:
    """The run that an input or output belongs to: datasets come first in theirs, models second."""
    return str(row["destination_id"] if row["source_type"] == "DATASET" else row["source_id"])


def is_deleted_version(row: Record) -> bool:
    """Whether a version's row only keeps its number."""
    return bool(row["current_stage"] == DELETED_VERSION)


def live_versions(rows: Iterable[Record]) -> list[Record]:
    """Versions by number, less the deleted ones."""
    return sorted((row for row in rows if not is_deleted_version(row)), key=lambda row: row["version"])


def stage_of(version: Record) -> str:
    """A version's stage; `NO_STAGE` if it has none."""
    return version.get("current_stage") or NO_STAGE


def production_champions(versions: Iterable[Record], aliases: Iterable[Record]) -> Mapping[tuple[str, str], int]:
    """The version that becomes champion, by workspace and name of the model.

    MLflow had stages before it had aliases: of a model without a champion, it is the newest version in `Production`.
    """
    has_champion = {_model(row) for row in aliases if row["alias"] == CHAMPION}
    found: dict[tuple[str, str], int] = {}
    for row in versions:
        if row["current_stage"] == _PRODUCTION and _model(row) not in has_champion:
            found[_model(row)] = max(row["version"], found.get(_model(row), 0))
    return found


def _model(row: Record) -> tuple[str, str]:
    return row.get("workspace") or DEFAULT_WORKSPACE, row["name"]
