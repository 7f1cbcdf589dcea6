from __future__ import annotations

import json
from typing import Any

import httpx
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


@pytest.mark.parametrize(("experiment", "asked"), [(None, ["1"]), ("fingers", ["1"]), ("monitoring/fingers", ["2"])])
def test_what_monitoring_writes_by_itself_is_listed_only_by_name(experiment: str | None, asked: list[str]) -> None:
    bodies: list[dict[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        found = [{"experiment_id": "1", "name": "fingers"}, {"experiment_id": "2", "name": "monitoring/fingers"}]
        return httpx.Response(200, json={"experiments": found} if "experiments/" in request.url.path else {})

    assert Registry("http://mlflow", transport=httpx.MockTransport(answer)).runs(experiment) == []
    assert bodies[-1]["experiment_ids"] == asked
