from __future__ import annotations

from collections.abc import Callable
from functools import partial

import httpx
import pytest

from fakes.registry import FakeMlflow
from handful_core.errors import HandfulError, UnavailableError
from handful_core.registry.artifacts import ForeignArtifactsError
from handful_core.registry.monitoring import MonitoringExperiments
from support.monitoring_suite import TAGS, MonitoringSuite


@pytest.fixture
def mlflow() -> FakeMlflow:
    return FakeMlflow()


@pytest.fixture
def experiments(mlflow: FakeMlflow) -> MonitoringExperiments:
    return MonitoringExperiments("http://mlflow", attempts=1, transport=mlflow.transport())


class TestOnTheFake(MonitoringSuite):
    """The suite on the stand-in that unit tests use."""


def test_a_deleted_experiment_is_told(mlflow: FakeMlflow, experiments: MonitoringExperiments) -> None:
    experiments.create("fingers", "a name", TAGS)
    mlflow.monitoring.experiments["monitoring/fingers"]["lifecycle_stage"] = "deleted"
    with pytest.raises(HandfulError, match="monitoring/fingers is deleted: restore it"):
        list(experiments.runs("fingers", TAGS))


def test_artifacts_that_are_not_passed_on_are_told(mlflow: FakeMlflow, experiments: MonitoringExperiments) -> None:
    mlflow.monitoring.scheme = "s3"
    with pytest.raises(HandfulError, match="keeps artifacts at s3:, which it does not pass on"):
        experiments.create("fingers", "a name", TAGS)
    assert ForeignArtifactsError("", "/srv/mlruns/1").place == "/srv/mlruns/1"


def test_mlflow_that_is_away_is_away(mlflow: FakeMlflow, experiments: MonitoringExperiments) -> None:
    mlflow.away = True
    for ask in (experiments.models, experiments.server_time, lambda: list(experiments.runs("fingers", TAGS))):
        with pytest.raises(UnavailableError):
            ask()


@pytest.mark.parametrize("body", [{}, {"runs": [{}]}, {"experiments": [{}]}, {"experiment": {}}, {"files": [{}]}, []])
def test_what_answers_otherwise_is_no_mlflow(
    mlflow: FakeMlflow, experiments: MonitoringExperiments, body: object
) -> None:
    run = experiments.create("fingers", "a name", TAGS)
    (known,) = experiments.runs("fingers", TAGS)
    mlflow.answer = lambda _: httpx.Response(200, json=body)
    asks: list[Callable[[], object]] = [
        lambda: experiments.create("fingers", "a name", TAGS),
        lambda: experiments.tags("fingers"),
        lambda: list(experiments.runs("fingers", TAGS)),
        run.params,
        *([experiments.models] if body in ({"experiments": [{}]}, []) else []),
        *([partial(known.files, "log")] if body in ({"files": [{}]}, []) else []),
    ]
    for ask in asks:
        with pytest.raises(UnavailableError, match="answers, but not as MLflow does"):
            ask()


def test_two_replicas_that_make_the_experiment_at_once_share_it(
    mlflow: FakeMlflow, experiments: MonitoringExperiments, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask, asked = MonitoringExperiments._number, []

    def late(self: MonitoringExperiments, model: str) -> str | None:
        asked.append(model)
        if len(asked) > 1:
            return ask(self, model)
        mlflow.monitoring._create(f"monitoring/{model}")  # The other one, between our question and our answer.
        return None

    monkeypatch.setattr(MonitoringExperiments, "_number", late)
    run = experiments.create("fingers", "a name", TAGS)
    assert [each.id for each in experiments.runs("fingers", TAGS)] == [run.id]
    assert len(mlflow.monitoring.experiments) == 1
