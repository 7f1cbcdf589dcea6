"""Creating experiments and runs over REST, and filling the runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from handful_backup.artifact_folders import experiment_root
from handful_backup.artifact_import import ArtifactImport
from handful_backup.artifacts import is_missing_folder
from handful_backup.increment import DIGESTS
from handful_backup.mlflow_tags import (
    IMPORT_TAGS,
    IMPORTED,
    MODEL_HISTORY,
    PARENT,
    SOURCE_EXPERIMENT,
    SOURCE_RUN,
    SOURCE_TIMES,
)
from handful_backup.portable.diff import ImportDiff
from handful_backup.portable.mlflow_api import tag_list
from handful_backup.portable.server_state import ServerEntity
from handful_backup.tables import Record
from handful_core.errors import ConfigError
from handful_core.registry.rest import API, Rest

_WITH_ARTIFACTS = (("runs", "run_uuid", "runs"), ("logged_models", "model_id", "models"))
"""Tables whose rows have artifacts: the column of their id, and the kind of their folder."""
_METRICS = 1000
_PARAMS = 100
_TAGS = 50
"""What one call takes: MLflow's limits, and a million bytes of JSON."""

_Item = TypeVar("_Item")


class ExperimentWriter:
    """Creates the experiments of a backup on a server."""

    def __init__(self, rest: Rest, diff: ImportDiff, artifacts: ArtifactImport) -> None:
        self._rest = rest
        self._diff = diff
        self._staging = diff.staging
        self._existing = diff.state.experiments
        self._restored: list[int] = []
        self._artifacts = artifacts

    def create_missing(self) -> None:
        """Create what does not exist; a deleted experiment is restored for what comes into it."""
        for row in self._staging.rows("experiments", order="experiment_id"):
            found = self._existing.get(row["experiment_id"])
            if found is None:
                self._existing[row["experiment_id"]] = self._create(row)
                continue
            if found.deleted and (self._diff.policy.overwrite or self._diff.receives(row)):
                self._rest.send("POST", f"{API}/experiments/restore", {"experiment_id": found.id})
                self._restored.append(row["experiment_id"])
            if self._diff.policy.overwrite or int(found.id) in self._diff.state.starter.get("experiments", ()):
                self._set_tags(row, found)

    def refuse_folders_elsewhere(self) -> None:
        """Make sure that artifacts get where MLflow sees them.

        Raises:
            ConfigError: MLflow keeps them in a folder, and that is one of another machine.
        """
        for number in sorted(set(self._with_artifacts())):
            found = self._existing[number]
            root = experiment_root(found.uri, found.id)
            if is_missing_folder(root):
                raise ConfigError(
                    f"MLflow keeps artifacts in the folder {root}, which this machine does not have",
                    "import on the machine where MLflow runs; if it is this one, make the folder first",
                )

    def delete(self) -> None:
        """Delete what is deleted in the backup, or was before the import."""
        for row in self._staging.rows("experiments"):
            found = self._existing[row["experiment_id"]]
            if self._diff.experiment_needs_deletion(found, row):
                self._rest.send("POST", f"{API}/experiments/delete", {"experiment_id": found.id})
                self._restored = [number for number in self._restored if number != row["experiment_id"]]
        self._delete_runs_again()

    def _delete_runs_again(self) -> None:
        """Delete runs that the backup has as deleted: MLflow restores an experiment with all of its runs."""
        for number in self._restored:
            deleted = "experiment_id = ? AND lifecycle_stage = 'deleted'"
            for row in self._staging.rows("runs", deleted, number):
                run = self._diff.state.runs[row["run_uuid"]]
                if run.deleted and run.is_complete and not self._diff.policy.overwrite:
                    self._rest.send("POST", f"{API}/runs/delete", {"run_id": run.id})

    def _create(self, row: Record) -> ServerEntity:
        times = {"created": row["creation_time"], "updated": row["last_update_time"]}
        source = {SOURCE_EXPERIMENT: str(row["experiment_id"]), SOURCE_TIMES: json.dumps(times)}
        body = {"name": self._diff.policy.prefixed(row["name"]), "tags": tag_list({**self._tags(row), **source})}
        number = self._rest.post(f"{API}/experiments/create", body)["experiment_id"]
        created = self._rest.get(f"{API}/experiments/get", {"experiment_id": number})["experiment"]
        return ServerEntity(number, digest="-", uri=created.get("artifact_location", ""))

    def _set_tags(self, row: Record, found: ServerEntity) -> None:
        for key, value in self._tags(row).items():
            body = {"experiment_id": found.id, "key": key, "value": value}
            self._rest.send("POST", f"{API}/experiments/set-experiment-tag", body)

    def _tags(self, row: Record) -> dict[str, str]:
        tags = self._staging.rows("experiment_tags", "experiment_id = ?", row["experiment_id"])
        return {tag["key"]: tag["value"] or "" for tag in tags if tag["key"] not in IMPORT_TAGS}

    def _with_artifacts(self) -> Iterator[int]:
        """The experiments, in the backup, whose runs or logged models have files in it."""
        folders = self._artifacts.by_folder()
        for table, column, kind in _WITH_ARTIFACTS:
            for row in self._staging.rows(table):
                if (kind, row[column]) in folders:
                    yield row["experiment_id"]


class RunWriter:
    """Creates the runs of a backup on a server and fills them. Its methods may be called by several threads."""

    def __init__(self, rest: Rest, diff: ImportDiff, artifacts: ArtifactImport) -> None:
        self._rest = rest
        self._policy = diff.policy
        self._staging = diff.staging
        self._state = diff.state
        self._artifacts = artifacts
        self._folders = artifacts.by_folder()
        self._digests: dict[str, str] = {row["run_uuid"]: row["digest"] for row in diff.staging.rows(DIGESTS)}

    def create(self, row: Record) -> ServerEntity:
        """Create a run, empty and tagged with its id in the backup."""
        run = row["run_uuid"]
        source = {SOURCE_RUN: self._policy.prefixed(run), SOURCE_TIMES: json.dumps({"user": row["user_id"]})}
        body = {
            "experiment_id": self._state.experiments[row["experiment_id"]].id,
            "run_name": row["name"] or "",
            "user_id": row["user_id"] or "",
            "start_time": row["start_time"] or 0,
            "tags": tag_list(source),
        }
        info = self._rest.post(f"{API}/runs/create", body)["run"]["info"]
        return ServerEntity(info["run_id"], uri=info["artifact_uri"])

    def fill(self, row: Record) -> None:
        """Bring a run up to what the backup has. What exists may be sent again: nothing doubles."""
        source, found = row["run_uuid"], self._state.runs[row["run_uuid"]]
        if found.deleted:
            self._rest.send("POST", f"{API}/runs/restore", {"run_id": found.id})
        self._log(source, found.id)
        self._log_inputs_and_outputs(source, found.id)
        members = self._folders.get(("runs", source), [])
        if members:
            self._artifacts.send(members, found.uri, replace=found.is_complete)
        self._finish(row, found)

    def points(self, source: str) -> Iterator[dict[str, Any]]:
        """A run's metric points, as `log-batch` wants them.

        A point that logged models have as well names the model, and is sent once for each of them.
        """
        models: dict[tuple[str, int, int], list[Record]] = {}
        for row in self._staging.rows("logged_model_metrics", "run_id = ?", source):
            key = row["metric_name"], row["metric_timestamp_ms"], row["metric_step"]
            models.setdefault(key, []).append(row)
        for row in self._staging.rows("metrics", "run_uuid = ?", source):
            value = "NaN" if row["is_nan"] else row["value"]
            point = {"key": row["key"], "value": value, "timestamp": row["timestamp"], "step": row["step"]}
            same_point = models.get((row["key"], row["timestamp"], row["step"]), [])
            existing = [model for model in same_point if model["model_id"] in self._state.models]  # Less deleted ones.
            for model in existing:
                yield {**point, **self._model_fields(model)}
            if not existing:
                yield point

    def _log(self, source: str, run: str) -> None:
        params = ({"key": p["key"], "value": p["value"]} for p in self._staging.rows("params", "run_uuid = ?", source))
        self._log_batches(run, "tags", self._tags(source), _TAGS)
        self._log_batches(run, "params", params, _PARAMS)
        self._log_batches(run, "metrics", self.points(source), _METRICS)

    def _log_batches(self, run: str, kind: str, items: Iterable[dict[str, Any]], size: int) -> None:
        for batch in _batches(items, size):
            self._rest.send("POST", f"{API}/runs/log-batch", {"run_id": run, kind: batch})

    def _tags(self, source: str) -> Iterator[dict[str, str]]:
        for tag in self._staging.rows("tags", "run_uuid = ?", source):
            value = tag["value"] or ""
            if tag["key"] in IMPORT_TAGS:  # Left by the import that created the source itself.
                continue
            if tag["key"] == PARENT and (parent := self._state.runs.get(value)):
                value = parent.id
            elif tag["key"] == MODEL_HISTORY:
                value = value.replace(source, self._state.runs[source].id)
            yield {"key": tag["key"], "value": value}

    def _model_fields(self, row: Record) -> dict[str, Any]:
        named = {"dataset_name": row["dataset_name"], "dataset_digest": row["dataset_digest"]}
        dataset = {key: value for key, value in named.items() if value}
        return {"model_id": self._state.models[row["model_id"]].id, **dataset}

    def _log_inputs_and_outputs(self, source: str, run: str) -> None:
        """Log only what the run has not yet: sent twice, an input or output is there twice."""
        existing = self._rest.get(f"{API}/runs/get", {"run_id": run})["run"]
        inputs, outputs = existing.get("inputs", {}), existing.get("outputs", {})
        has = {(d["dataset"]["name"], d["dataset"]["digest"]) for d in inputs.get("dataset_inputs", ())}
        datasets = [d for d in self._datasets(source) if (d["dataset"]["name"], d["dataset"]["digest"]) not in has]
        models_in = self._models(source, "RUN_INPUT", {m["model_id"] for m in inputs.get("model_inputs", ())})
        models_out = self._models(source, "RUN_OUTPUT", {m["model_id"] for m in outputs.get("model_outputs", ())})
        if datasets or models_in:
            models = [{"model_id": model["model_id"]} for model in models_in]  # Inputs have no step.
            self._rest.post(f"{API}/runs/log-inputs", {"run_id": run, "datasets": datasets, "models": models})
        if models_out:
            self._rest.post(f"{API}/runs/outputs", {"run_id": run, "models": models_out})

    def _datasets(self, source: str) -> Iterator[dict[str, Any]]:
        for entry in self._staging.rows("inputs", "destination_id = ? AND source_type = 'DATASET'", source):
            for dataset in self._staging.rows("datasets", "dataset_uuid = ?", entry["source_id"]):
                tags = self._staging.rows("input_tags", "input_uuid = ?", entry["input_uuid"])
                optional = {"schema": dataset["dataset_schema"], "profile": dataset["dataset_profile"]}
                yield {
                    "tags": [{"key": tag["name"], "value": tag["value"]} for tag in tags],
                    "dataset": {
                        "name": dataset["name"],
                        "digest": dataset["digest"],
                        "source_type": dataset["dataset_source_type"],
                        "source": dataset["dataset_source"],
                        **{key: value for key, value in optional.items() if value is not None},
                    },
                }

    def _models(self, source: str, kind: str, existing: set[str]) -> list[dict[str, Any]]:
        links = self._staging.rows("inputs", "source_id = ? AND source_type = ?", source, kind)
        linked = ((link, self._state.models.get(link["destination_id"])) for link in links)
        return [
            {"model_id": model.id, "step": link["step"] or 0}
            for link, model in linked
            if model and model.id not in existing
        ]

    def _finish(self, row: Record, found: ServerEntity) -> None:
        """Give a run the backup's state, and the tag that says it is complete: last, so that it tells the truth."""
        end = {"end_time": row["end_time"]} if row["end_time"] else {}
        body = {"run_id": found.id, "status": row["status"], "run_name": row["name"] or "", **end}
        self._rest.send("POST", f"{API}/runs/update", body)
        tag = {"run_id": found.id, "key": IMPORTED, "value": self._digests.get(row["run_uuid"], "-")}
        self._rest.send("POST", f"{API}/runs/set-tag", tag)
        if row["lifecycle_stage"] == "deleted":
            self._rest.send("POST", f"{API}/runs/delete", {"run_id": found.id})


def _batches(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
