"""Training again from what a run logged, and comparing: same metrics, or what differs."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlflow.artifacts import download_artifacts
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from handful_core.errors import DataError, NotFoundError, UnavailableError
from handful_trainer.config import TrainingConfig, load_config
from handful_trainer.tracking.mlflow_calls import is_transient

TOLERANCE = 1e-6
"""Metrics that differ by less are the same: they went through a database and back."""
_COMPARED = ("test/", "val/")
_CONDITIONS = ("package.", "hardware.")
_CONDITION_TAGS = {"mlflow.source.git.commit": "code", "dataset.fingerprint": "dataset", "lock": "lock"}


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What MLflow has of a training."""

    run_id: str
    name: str
    curves: Mapping[str, Mapping[int, float]]
    """Every value of every metric of the validation and the test, by step."""
    conditions: Mapping[str, str]
    """What the training ran with: versions, hardware, code, dataset."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A metric, then and now."""

    metric: str
    then: float | None
    now: float | None
    worst: float
    """Largest distance at any step; infinite where a step is missing."""

    @property
    def same(self) -> bool:
        """Within the tolerance at every step."""
        return self.worst <= TOLERANCE


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Two trainings of the same configuration."""

    then: RunRecord
    now: RunRecord
    metrics: list[Difference] = field(default_factory=list)
    conditions: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Those that differ: what it was, what it is."""

    @property
    def same(self) -> bool:
        """All metrics are the same at every step."""
        return all(difference.same for difference in self.metrics)

    def as_json(self) -> dict[str, Any]:
        """What `handful reproduce --json` prints."""
        return {
            "run_id": self.then.run_id,
            "again": self.now.run_id,
            "same": self.same,
            "metrics": {
                d.metric: {"then": d.then, "now": d.now, "worst": d.worst, "same": d.same} for d in self.metrics
            },
            "conditions": {name: {"then": was, "now": now} for name, (was, now) in self.conditions.items()},
        }


def read_config(uri: str, run_id: str) -> TrainingConfig:
    """The whole configuration that a run logged.

    Raises:
        NotFoundError: there is no such run, or it logged no configuration.
        UnavailableError: MLflow does not answer.
    """
    with tempfile.TemporaryDirectory(prefix="handful-run-") as folder:
        try:
            found = download_artifacts(
                run_id=run_id, artifact_path="config/config.yaml", dst_path=folder, tracking_uri=uri
            )
        except (MlflowException, OSError) as error:
            raise _unread(uri, run_id, error) from error
        return load_config(Path(found))


def read_record(uri: str, run_id: str) -> RunRecord:
    """What MLflow has of a training, once it is finished.

    Raises:
        NotFoundError: there is no such run.
        DataError: the run did not finish, so that there is nothing to compare with.
        UnavailableError: MLflow does not answer.
    """
    client = MlflowClient(uri)
    try:
        run = client.get_run(run_id)
        if run.info.status != "FINISHED":
            raise DataError(f"the run {run_id} is {run.info.status}", "reproduce one that is FINISHED")
        names = [name for name in run.data.metrics if name.startswith(_COMPARED)]
        curves = {name: {m.step: m.value for m in client.get_metric_history(run_id, name)} for name in names}
    except (MlflowException, OSError) as error:
        raise _unread(uri, run_id, error) from error
    return RunRecord(run_id, run.info.run_name, curves, _conditions(run))


def compare(then: RunRecord, now: RunRecord) -> RunComparison:
    """Compare two records, metric by metric and step by step."""
    names = sorted(then.curves.keys() | now.curves.keys())
    metrics = [_difference(name, then.curves.get(name, {}), now.curves.get(name, {})) for name in names]
    conditions = {
        name: (then.conditions.get(name, "not logged"), now.conditions.get(name, "not logged"))
        for name in sorted(then.conditions.keys() | now.conditions.keys())
        if then.conditions.get(name) != now.conditions.get(name)
    }
    return RunComparison(then, now, metrics, conditions)


def _difference(name: str, then: Mapping[int, float], now: Mapping[int, float]) -> Difference:
    steps = then.keys() | now.keys()
    distances = [abs(then[s] - now[s]) if s in then and s in now else float("inf") for s in steps]
    last_then, last_now = (curve[max(curve)] if curve else None for curve in (then, now))
    return Difference(name, last_then, last_now, max(distances, default=0.0))


def _conditions(run: Run) -> dict[str, str]:
    params = {name: value for name, value in run.data.params.items() if name.startswith(_CONDITIONS)}
    tags = {label: run.data.tags[tag] for tag, label in _CONDITION_TAGS.items() if tag in run.data.tags}
    return params | tags


def _unread(uri: str, run_id: str, error: Exception) -> NotFoundError | UnavailableError:
    if is_transient(error):
        return UnavailableError(
            f"MLflow at {uri} does not answer",
            "start it (scripts/serve --embedded), or set HANDFUL_MLFLOW_URI to where it runs",
        )
    return NotFoundError(
        f"MLflow at {uri} has no training {run_id} that logged its configuration", "name a run of `handful train`"
    )
