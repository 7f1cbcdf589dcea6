"""MLflow's experiments, runs and logged models, page by page, as rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from handful_backup.portable.columns import MODEL_STATUS
from handful_backup.portable.mlflow_api import (
    EXPERIMENTS_PER_SEARCH,
    RUNS_PER_PAGE,
    Json,
    metric_value,
    optional_int,
)
from handful_backup.portable.staging import Spool
from handful_backup.tables import DEFAULT_WORKSPACE
from handful_core.errors import NotFoundError
from handful_core.registry.rest import API, Rest

_DEFAULT = {"workspace": DEFAULT_WORKSPACE}


class TrackingPages:
    """Experiments, runs and logged models."""

    def __init__(self, rest: Rest, spool: Spool, jobs: int) -> None:
        self._rest = rest
        self._spool = spool
        self._jobs = jobs
        self._datasets: dict[tuple[int, str, str], str] = {}
        self._runs: list[str] = []
        self._has_models = False

    def read(self) -> None:
        """Read all but the histories of metrics."""
        found = self._rest.search(f"{API}/experiments/search", "experiments", {"view_type": "ALL"})
        ids = [self._experiment(experiment) for experiment in found]
        for start in range(0, len(ids), EXPERIMENTS_PER_SEARCH):
            some = [str(number) for number in ids[start : start + EXPERIMENTS_PER_SEARCH]]
            # Oldest first: what is begun meanwhile comes at the end and moves no page.
            body = {"experiment_ids": some, "run_view_type": "ALL", "order_by": ["attributes.start_time ASC"]}
            for run in self._rest.search(f"{API}/runs/search", "runs", body, RUNS_PER_PAGE):
                self._run(run)
            order = [{"field_name": "creation_timestamp", "ascending": True}]
            for model in self._logged_models(some, order):
                self._logged_model(model)
                self._has_models = True
        if self._has_models:
            self._model_inputs()

    def _logged_models(self, experiments: list[str], order: list[Any]) -> Iterable[Json]:
        body = {"experiment_ids": experiments, "order_by": order}
        try:
            yield from self._rest.search(f"{API}/logged-models/search", "models", body, 50)
        except NotFoundError:  # MLflow before version 3 has none.
            return

    def _experiment(self, experiment: Json) -> int:
        number = int(experiment["experiment_id"])
        self._spool.add(
            "experiments",
            **_DEFAULT,
            experiment_id=number,
            name=experiment["name"],
            artifact_location=experiment.get("artifact_location"),
            lifecycle_stage=experiment["lifecycle_stage"],
            creation_time=optional_int(experiment.get("creation_time")),
            last_update_time=optional_int(experiment.get("last_update_time")),
        )
        for tag in experiment.get("tags", ()):
            self._spool.add("experiment_tags", experiment_id=number, key=tag["key"], value=tag.get("value", ""))
        return number

    def _run(self, run: Json) -> None:
        info, data = run["info"], run.get("data", {})
        run_id = info["run_id"]
        self._runs.append(run_id)
        self._spool.add(
            "runs",
            run_uuid=run_id,
            name=info.get("run_name"),
            user_id=info.get("user_id"),
            status=info["status"],
            start_time=optional_int(info.get("start_time")),
            end_time=optional_int(info.get("end_time")),
            lifecycle_stage=info["lifecycle_stage"],
            artifact_uri=info.get("artifact_uri"),
            experiment_id=int(info["experiment_id"]),
        )
        for table in ("params", "tags"):
            for entry in sorted(data.get(table, ()), key=lambda e: e["key"]):
                self._spool.add(table, run_uuid=run_id, key=entry["key"], value=entry.get("value", ""))
        for metric in sorted(data.get("metrics", ()), key=lambda m: m["key"]):
            value, is_nan = metric_value(metric["value"])
            self._spool.add(
                "latest_metrics",
                run_uuid=run_id,
                key=metric["key"],
                value=value,
                is_nan=is_nan,
                timestamp=int(metric["timestamp"]),
                step=int(metric.get("step") or 0),
            )
        self._inputs(run_id, int(info["experiment_id"]), run)

    def _inputs(self, run_id: str, experiment: int, run: Json) -> None:
        for entry in run.get("inputs", {}).get("dataset_inputs", ()):
            source = self._dataset(experiment, entry["dataset"])
            uuid = self._input("DATASET", source, "RUN", run_id, 0)
            for tag in entry.get("tags", ()):
                self._spool.add("input_tags", input_uuid=uuid, name=tag["key"], value=tag.get("value", ""))
        for entry in run.get("outputs", {}).get("model_outputs", ()):
            self._input("RUN_OUTPUT", run_id, "MODEL_OUTPUT", entry["model_id"], int(entry.get("step") or 0))

    def _model_inputs(self) -> None:
        """Ask for each run by itself: a search returns all of a run but the models that went into it."""

        def ask(run: str) -> tuple[str, Json]:
            return run, self._rest.get(f"{API}/runs/get", {"run_id": run})["run"].get("inputs", {})

        with ThreadPoolExecutor(self._jobs) as pool:
            for run, inputs in pool.map(ask, self._runs):
                for entry in inputs.get("model_inputs", ()):
                    self._input("RUN_INPUT", run, "MODEL_INPUT", entry["model_id"], 0)

    def _dataset(self, experiment: int, dataset: Json) -> str:
        key = experiment, dataset["name"], dataset["digest"]
        if key not in self._datasets:
            self._datasets[key] = _uuid("dataset", *key)
            self._spool.add(
                "datasets",
                dataset_uuid=self._datasets[key],
                experiment_id=experiment,
                name=dataset["name"],
                digest=dataset["digest"],
                dataset_source_type=dataset.get("source_type"),
                dataset_source=dataset.get("source"),
                dataset_schema=dataset.get("schema"),
                dataset_profile=dataset.get("profile"),
            )
        return self._datasets[key]

    def _input(self, kind: str, source: str, target_kind: str, target: str, step: int) -> str:
        uuid = _uuid("input", kind, source, target)
        self._spool.add(
            "inputs",
            input_uuid=uuid,
            source_type=kind,
            source_id=source,
            destination_type=target_kind,
            destination_id=target,
            step=step,
        )
        return uuid

    def _logged_model(self, model: Json) -> None:
        info, data = model["info"], model.get("data", {})
        here = {"model_id": info["model_id"], "experiment_id": int(info["experiment_id"])}
        self._spool.add(
            "logged_models",
            **here,
            name=info.get("name"),
            artifact_location=info.get("artifact_uri"),
            creation_timestamp_ms=optional_int(info.get("creation_timestamp_ms")),
            last_updated_timestamp_ms=optional_int(info.get("last_updated_timestamp_ms")),
            status=MODEL_STATUS.get(info.get("status", ""), 0),
            lifecycle_stage="active",
            model_type=info.get("model_type") or None,
            source_run_id=info.get("source_run_id") or None,
            status_message=info.get("status_message") or None,
        )
        for param in data.get("params", ()):
            self._spool.add("logged_model_params", **here, param_key=param["key"], param_value=param.get("value", ""))
        for tag in info.get("tags", ()):
            self._spool.add("logged_model_tags", **here, tag_key=tag["key"], tag_value=tag.get("value", ""))
        for metric in data.get("metrics", ()):
            self._spool.add(
                "logged_model_metrics",
                **here,
                metric_name=metric["key"],
                metric_timestamp_ms=int(metric["timestamp"]),
                metric_step=int(metric.get("step") or 0),
                metric_value=float(metric["value"]),
                run_id=metric.get("run_id"),
                dataset_name=metric.get("dataset_name") or None,
                dataset_digest=metric.get("dataset_digest") or None,
            )


def _uuid(*words: object) -> str:
    """An id for what has none over REST: the same words give the same id, so that two exports agree."""
    return hashlib.blake2b("\0".join(map(str, words)).encode(), digest_size=16).hexdigest()
