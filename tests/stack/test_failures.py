"""What happens when containers die or stay away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from support.stack import SERVERS, Stack
from support.waiting import until


@pytest.mark.parametrize("service", SERVERS)
def test_a_container_that_is_killed_comes_back(stack: Stack, ask: Callable[..., httpx.Response], service: str) -> None:
    before = stack.container(service)
    stack.kill(service)
    until(lambda: stack.container(service)["State"]["StartedAt"] != before["State"]["StartedAt"], f"{service} starts")
    until(lambda: stack.healthy(service), f"{service} is well again")
    assert stack.container(service)["RestartCount"] == before["RestartCount"] + 1
    until(lambda: _answers(ask), "predictions are answered")
    until(lambda: _registry_answers(stack), "MLflow answers")


def _answers(ask: Callable[..., httpx.Response]) -> bool:
    try:
        return ask().is_success
    except httpx.TransportError:  # nginx itself is what was killed.
        return False


def _registry_answers(stack: Stack) -> bool:
    try:
        address = f"{stack.url('MLFLOW_PORT')}/api/2.0/mlflow/registered-models/search"
        return httpx.get(address, timeout=10).is_success
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("service", ["mlflow", "postgres", "minio"])
def test_predictions_go_on_while_it_is_down(stack: Stack, ask: Callable[..., httpx.Response], service: str) -> None:
    stack.compose_output("stop", "--timeout", "5", service)
    try:
        answers = Counter(ask().status_code for _ in range(200))
    finally:
        stack.compose_output("start", service)
    assert answers == {200: 200}
    until(lambda: stack.healthy(service), f"{service} is well again")


def test_predictions_survive_a_restart_of_serving_while_mlflow_is_away(
    stack: Stack, predict: Callable[..., dict[str, Any]]
) -> None:
    stack.compose_output("stop", "--timeout", "5", "mlflow")
    try:
        stack.compose_output("restart", "--no-deps", "serving")
        until(lambda: stack.healthy("serving"), "serving is well again")
        assert predict()["count"] == 5
    finally:
        stack.compose_output("start", "mlflow")
    until(lambda: stack.healthy("mlflow"), "mlflow is well again")


def test_the_dashboard_says_that_serving_is_away(stack: Stack, ask: Callable[..., httpx.Response]) -> None:
    stack.compose_output("stop", "--timeout", "5", "serving")
    try:
        answer = ask()
        page = httpx.get(stack.url("DASHBOARD_PORT"))
    finally:
        stack.compose_output("start", "serving")
    assert answer.status_code == 502
    assert answer.json()["type"] == "urn:handful:problem:unavailable"
    assert page.is_success
    until(lambda: ask().is_success, "predictions are answered")
