"""The fields of rows that REST keeps, for a backup or a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from handful_backup.mlflow_tags import IMPORT_TAGS, MODEL_HISTORY, MODEL_VERSIONS, PARENT, STARTER, versions_named
from handful_backup.selection import Rows
from handful_backup.tables import Record, is_deleted_version, stage_of

if TYPE_CHECKING:
    from handful_backup.portable.server_state import ServerState

Values = tuple[Any, ...]
"""A row's fields."""
FieldReader = Callable[[Record], Values | None]
"""The fields of a row that REST keeps; None for a row that it does not show."""


@dataclass(slots=True)
class ComparedSide:
    """A backup or a server.

    Attributes:
        state: the server's ids of the backup's things; None on the server's own side.
        datasets: by their ids.
        links: inputs and outputs by their ids.
        models: logged models that are there. A run may name others: one is deleted, or was not selected for a backup.
        deleted: logged models and versions that were deleted, which REST does not show.
    """

    state: ServerState | None
    datasets: dict[str, Record] = field(default_factory=dict)
    links: dict[str, Record] = field(default_factory=dict)
    models: set[str] = field(default_factory=set)
    deleted: set[Any] = field(default_factory=set)

    @classmethod
    def of(cls, rows: Rows, state: ServerState | None) -> ComparedSide:
        """Look through what others refer to."""
        side = cls(state)
        side.datasets = {row["dataset_uuid"]: row for row in rows.rows("datasets")}
        side.links = {row["input_uuid"]: row for row in rows.rows("inputs")}
        for row in rows.rows("logged_models"):
            (side.models if row["lifecycle_stage"] == "active" else side.deleted).add(row["model_id"])
        side.deleted |= {
            (row["name"], row["version"]) for row in rows.rows("model_versions") if is_deleted_version(row)
        }
        return side


class ComparedFields:
    """The fields of rows that are compared. On the backup's side, ids become those that the server gave."""

    def __init__(self, side: ComparedSide) -> None:
        self._side = side
        self.readers: Mapping[str, FieldReader] = {
            "experiments": self._experiment_row,
            "experiment_tags": self._experiment_tag,
            "runs": self._run_row,
            "params": lambda row: (self._run(row["run_uuid"]), row["key"], row["value"]),
            "tags": self._tag,
            "latest_metrics": self._metric,
            "metrics": self._metric,
            "inputs": self._link,
            "input_tags": self._link_tag,
            "logged_models": self._model_row,
            "logged_model_params": lambda row: self._of_model(row, row["param_key"], row["param_value"]),
            "logged_model_tags": self._model_tag,
            "logged_model_metrics": self._model_metric,
            "registered_models": lambda row: (row["name"], row["description"] or ""),
            "registered_model_tags": self._registered_model_tag,
            "model_versions": self._version_row,
            "model_version_tags": self._version_tag,
            "registered_model_aliases": lambda row: (row["name"], row["alias"], self._version(row)),
        }

    def _mapped(self, name: Any, kind: str) -> str:
        if name is None or name == "" or self._side.state is None:
            return str(name or "")
        found = getattr(self._side.state, kind).get(name)
        return found.id if found else f"missing {name}"

    def _experiment(self, number: int) -> str:
        return self._mapped(number, "experiments") or "0"  # The number 0 counts as no name there.

    def _run(self, run: str | None) -> str:
        return self._mapped(run, "runs")

    def _model(self, model: str | None) -> str:
        return self._mapped(model, "models")

    def _version(self, row: Record) -> int:
        if self._side.state is None:
            return int(row["version"])
        return self._side.state.versions.get((row["name"], row["version"]), -1)

    def _experiment_row(self, row: Record) -> Values:
        return self._experiment(row["experiment_id"]), row["name"], row["lifecycle_stage"]

    def _experiment_tag(self, row: Record) -> Values | None:
        if row["key"] in IMPORT_TAGS:
            return None
        return self._experiment(row["experiment_id"]), row["key"], row["value"] or ""

    def _run_row(self, row: Record) -> Values:
        times = row["start_time"], row["end_time"]
        state = row["status"], row["lifecycle_stage"], row["user_id"] or ""
        return self._run(row["run_uuid"]), row["name"], *times, *state

    def _tag(self, row: Record) -> Values | None:
        if row["key"] in IMPORT_TAGS or row["key"] == MODEL_HISTORY:
            return None
        value = row["value"] or ""
        if row["key"] == PARENT and self._side.state is not None and value in self._side.state.runs:
            value = self._side.state.runs[value].id
        return self._run(row["run_uuid"]), row["key"], value

    def _metric(self, row: Record) -> Values:
        point = float(row["value"]), row["timestamp"], row["step"], bool(row["is_nan"])
        return self._run(row["run_uuid"]), row["key"], *point

    def _link(self, row: Record) -> Values | None:
        if row["source_type"] == "DATASET":
            dataset = self._side.datasets[row["source_id"]]
            fields = dataset["name"], dataset["digest"], dataset["dataset_source"], dataset["dataset_schema"]
            return row["source_type"], *fields, dataset["dataset_profile"], self._run(row["destination_id"])
        if row["destination_id"] not in self._side.models:
            return None
        models = self._run(row["source_id"]), self._model(row["destination_id"])
        return row["source_type"], *models, row["step"] or 0

    def _link_tag(self, row: Record) -> Values | None:
        link = self._link(self._side.links[row["input_uuid"]])
        return None if link is None else (*link, row["name"], row["value"])

    def _model_row(self, row: Record) -> Values | None:
        kind = row["name"], row["model_type"] or "", row["status"]
        return self._of_model(row, *kind, self._run(row["source_run_id"]))

    def _registered_model_tag(self, row: Record) -> Values | None:
        return None if row["key"] == STARTER else (row["name"], row["key"], row["value"] or "")

    def _model_tag(self, row: Record) -> Values | None:
        if row["tag_key"] in IMPORT_TAGS or row["tag_key"] == MODEL_VERSIONS:
            return None
        return self._of_model(row, row["tag_key"], row["tag_value"] or "")

    def named_versions(self, rows: Rows) -> Iterator[Values]:
        """The versions that logged models name as made from them: MLflow's own tag, which it writes and adds to."""
        known = {(row["name"], row["version"]) for row in rows.rows("model_versions")} - self._side.deleted
        for row in rows.rows("logged_model_tags"):
            if row["tag_key"] != MODEL_VERSIONS or row["model_id"] in self._side.deleted:
                continue
            for name, number in sorted(versions_named(row["tag_value"]) & known):
                yield self._model(row["model_id"]), name, self._version({"name": name, "version": number})

    def _model_metric(self, row: Record) -> Values | None:
        point = row["metric_timestamp_ms"], row["metric_step"], float(row["metric_value"])
        return self._of_model(row, row["metric_name"], *point, self._run(row["run_id"]))

    def _of_model(self, row: Record, *values: Any) -> Values | None:
        return None if row["model_id"] in self._side.deleted else (self._model(row["model_id"]), *values)

    def _version_row(self, row: Record) -> Values | None:
        fields = row["description"] or "", stage_of(row), self._run(row["run_id"])
        return self._of_version(row, *fields)

    def _version_tag(self, row: Record) -> Values | None:
        return None if row["key"] in IMPORT_TAGS else self._of_version(row, row["key"], row["value"] or "")

    def _of_version(self, row: Record, *values: Any) -> Values | None:
        if (row["name"], row["version"]) in self._side.deleted:
            return None
        return row["name"], self._version(row), *values
