from __future__ import annotations

import pytest

from fakes.registry import FakeMlflow
from handful_core.errors import NotFoundError
from handful_core.registry import Registry


@pytest.fixture
def mlflow() -> FakeMlflow:
    return FakeMlflow()


def test_a_run_has_its_last_values_and_the_curves_of_what_was_logged_more_than_once(mlflow) -> None:
    mlflow.runs["ab"] = {"train/loss": [3.0, 2.0, 1.5], "test/mAP50": [0.9], "system/cpu": [1.0, 2.0]}
    run = Registry("http://mlflow", transport=mlflow.transport()).run("ab")
    assert run.metrics == {"train/loss": 1.5, "test/mAP50": 0.9, "system/cpu": 2.0}
    assert run.curves == {"train/loss": [(0, 3.0), (1, 2.0), (2, 1.5)]}
    assert (run.run_id, run.experiment_id) == ("ab", "1")


def test_what_is_no_number_is_left_out(mlflow) -> None:
    mlflow.runs["ab"] = {"train/loss": [3.0, float("nan"), 1.5], "gone": [1.0, float("inf")]}
    run = Registry("http://mlflow", transport=mlflow.transport()).run("ab")
    assert run.curves == {"train/loss": [(0, 3.0), (2, 1.5)]}
    assert "gone" not in run.metrics


def test_a_run_that_is_not_there_is_not_found(mlflow) -> None:
    with pytest.raises(NotFoundError):
        Registry("http://mlflow", transport=mlflow.transport()).run("ab")
