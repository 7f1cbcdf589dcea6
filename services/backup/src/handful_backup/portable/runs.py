"""Making runs over REST, and filling them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from handful_backup.increment import DIGESTS
from handful_backup.portable.api import API
from handful_backup.portable.marks import DONE, OURS, RUN, TIMES
from handful_backup.portable.recognition import Found, Recognition
from handful_backup.portable.scratch import Scratch
from handful_backup.restoring import Restoring
from handful_backup.tables import Record
from handful_core.registry.rest import Rest

PARENT = "mlflow.parentRunId"
HISTORY = "mlflow.log-model.history"
_METRICS = 1000
_PARAMS = 100
_TAGS = 50
"""What one call takes: MLflow's limits, and a million bytes of JSON."""

_Item = TypeVar("_Item")


class Runs:
    """Makes the runs of a backup on a server."""

    def __init__(self, rest: Rest, scratch: Scratch, recognition: Recognition, restoring: Restoring) -> None:
        self._rest = rest
        self._scratch = scratch
        self._recognition = recognition
        self._known = recognition.known
        self._restoring = restoring
        self._folders = restoring.by_folder()
        self._digests: dict[str, str] = {row["run_uuid"]: row["digest"] for row in scratch.rows(DIGESTS)}

    def digest(self, run: str) -> str:
        """Of a run in the backup."""
        return self._digests.get(run, "-")

    def make(self, row: Record) -> Found:
        """Make a run, empty and marked with its id of old."""
        run = row["run_uuid"]
        marks = {RUN: self._recognition.mark(run), TIMES: json.dumps({"user": row["user_id"]})}
        body = {
            "experiment_id": self._known.experiments[row["experiment_id"]].id,
            "run_name": row["name"] or "",
            "user_id": row["user_id"] or "",
            "start_time": row["start_time"] or 0,
            "tags": _pairs(marks),
        }
        info = self._rest.post(f"{API}/runs/create", body)["run"]["info"]
        return Found(info["run_id"], uri=info["artifact_uri"])

    def fill(self, row: Record) -> None:
        """Bring a run up to what the backup has. What is there already may be sent again: nothing doubles."""
        source, found = row["run_uuid"], self._known.runs[row["run_uuid"]]
        if found.deleted:
            self._rest.send("POST", f"{API}/runs/restore", {"run_id": found.id})
        self._log(source, found.id)
        self._link(source, found.id)
        members = self._folders.get(("runs", source), [])
        if members:
            self._restoring.send(members, found.uri, replace=found.whole)
        self._end(row, found)

    def _log(self, source: str, run: str) -> None:
        send = self._rest.send
        for some in _batches(self._tags(source), _TAGS):
            send("POST", f"{API}/runs/log-batch", {"run_id": run, "tags": some})
        params = self._scratch.rows("params", "run_uuid = ?", source)
        for some in _batches(({"key": p["key"], "value": p["value"]} for p in params), _PARAMS):
            send("POST", f"{API}/runs/log-batch", {"run_id": run, "params": some})
        for some in _batches(self.points(source), _METRICS):
            send("POST", f"{API}/runs/log-batch", {"run_id": run, "metrics": some})

    def _tags(self, source: str) -> Iterator[dict[str, str]]:
        for tag in self._scratch.rows("tags", "run_uuid = ?", source):
            value = tag["value"] or ""
            if tag["key"] in OURS:  # Marks of the import that made the source itself.
                continue
            if tag["key"] == PARENT and (parent := self._known.runs.get(value)):
                value = parent.id
            elif tag["key"] == HISTORY:
                value = value.replace(source, self._known.runs[source].id)
            yield {"key": tag["key"], "value": value}

    def points(self, source: str) -> Iterator[dict[str, Any]]:
        """Points of a run; those that a logged model of the server has too name it, once for each model."""
        models: dict[tuple[str, int, int], list[Record]] = {}
        for row in self._scratch.rows("logged_model_metrics", "run_id = ?", source):
            key = row["metric_name"], row["metric_timestamp_ms"], row["metric_step"]
            models.setdefault(key, []).append(row)
        for row in self._scratch.rows("metrics", "run_uuid = ?", source):
            value = "NaN" if row["is_nan"] else row["value"]
            point = {"key": row["key"], "value": value, "timestamp": row["timestamp"], "step": row["step"]}
            all_of = models.get((row["key"], row["timestamp"], row["step"]), [])
            of = [model for model in all_of if model["model_id"] in self._known.models]  # Deleted ones are not there.
            for model in of:
                yield {**point, **self._of_model(model)}
            if not of:
                yield point

    def _of_model(self, row: Record) -> dict[str, Any]:
        named = {"dataset_name": row["dataset_name"], "dataset_digest": row["dataset_digest"]}
        dataset = {key: value for key, value in named.items() if value}
        return {"model_id": self._known.models[row["model_id"]].id, **dataset}

    def _link(self, source: str, run: str) -> None:
        """Log the inputs and outputs that are not there yet: these do double."""
        there = self._rest.get(f"{API}/runs/get", {"run_id": run})["run"]
        inputs, outputs = there.get("inputs", {}), there.get("outputs", {})
        has = {(d["dataset"]["name"], d["dataset"]["digest"]) for d in inputs.get("dataset_inputs", ())}
        datasets = [d for d in self._datasets(source) if (d["dataset"]["name"], d["dataset"]["digest"]) not in has]
        models_in = self._models(source, "RUN_INPUT", {m["model_id"] for m in inputs.get("model_inputs", ())})
        models_out = self._models(source, "RUN_OUTPUT", {m["model_id"] for m in outputs.get("model_outputs", ())})
        if datasets or models_in:
            models = [{"model_id": model["model_id"]} for model in models_in]
            body = {"run_id": run, "datasets": datasets, "models": models}
            self._rest.post(f"{API}/runs/log-inputs", body)
        if models_out:
            self._rest.post(f"{API}/runs/outputs", {"run_id": run, "models": models_out})

    def _datasets(self, source: str) -> Iterator[dict[str, Any]]:
        for entry in self._scratch.rows("inputs", "destination_id = ? AND source_type = 'DATASET'", source):
            for dataset in self._scratch.rows("datasets", "dataset_uuid = ?", entry["source_id"]):
                tags = self._scratch.rows("input_tags", "input_uuid = ?", entry["input_uuid"])
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

    def _models(self, source: str, kind: str, there: set[str]) -> list[dict[str, Any]]:
        links = self._scratch.rows("inputs", "source_id = ? AND source_type = ?", source, kind)
        named = ((link, self._known.models.get(link["destination_id"])) for link in links)
        return [
            {"model_id": model.id, "step": link["step"] or 0}
            for link, model in named
            if model and model.id not in there
        ]

    def _end(self, row: Record, found: Found) -> None:
        """Give a run its state of old, and the mark that it is whole."""
        end = {"end_time": row["end_time"]} if row["end_time"] else {}
        body = {"run_id": found.id, "status": row["status"], "run_name": row["name"] or "", **end}
        self._rest.send("POST", f"{API}/runs/update", body)
        mark = {"run_id": found.id, "key": DONE, "value": self.digest(row["run_uuid"])}
        self._rest.send("POST", f"{API}/runs/set-tag", mark)
        if row["lifecycle_stage"] == "deleted":
            self._rest.send("POST", f"{API}/runs/delete", {"run_id": found.id})


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def _batches(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    batch: list[_Item] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
