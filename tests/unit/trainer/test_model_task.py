"""A registered model has one task."""

from __future__ import annotations

import pytest

from fakes.registry import FakeMlflow
from handful_core.errors import ConfigError
from handful_core.registry import CHAMPION, Registry
from handful_trainer.pipeline.model_task import check_model_task

DETECT, CLASSIFY = {"task": "detect"}, {"task": "classify"}


@pytest.fixture
def mlflow() -> FakeMlflow:
    return FakeMlflow()


def check(mlflow: FakeMlflow, task: str) -> None:
    with Registry("http://mlflow", transport=mlflow.transport()) as registry:
        check_model_task(registry, "fingers", task)


def test_a_new_model_may_have_any_task(mlflow: FakeMlflow) -> None:
    check(mlflow, "classify")


def test_a_version_of_another_task_is_refused(mlflow: FakeMlflow) -> None:
    mlflow.register(None, aliases=[CHAMPION], tags=DETECT)
    check(mlflow, "detect")
    with pytest.raises(
        ConfigError, match="fingers is for the task detect, and this is for classify: choose another name"
    ):
        check(mlflow, "classify")


def test_the_champion_says_what_the_task_is(mlflow: FakeMlflow) -> None:
    mlflow.register(None, aliases=[CHAMPION], tags=DETECT)
    mlflow.register(None, tags=CLASSIFY)  # Brought by hand, and never promoted.
    check(mlflow, "detect")


def test_without_a_champion_the_newest_version_says_it(mlflow: FakeMlflow) -> None:
    mlflow.register(None, tags=CLASSIFY)
    mlflow.register(None, tags=DETECT)
    with pytest.raises(ConfigError, match="for the task detect"):
        check(mlflow, "classify")


def test_a_version_that_says_nothing_is_no_reason(mlflow: FakeMlflow) -> None:
    mlflow.register(None, aliases=[CHAMPION])
    check(mlflow, "classify")
