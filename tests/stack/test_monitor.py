"""The monitor of the profile `monitoring`: it is there when asked for, and nothing misses it otherwise."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from support.stack import Stack, docker
from support.waiting import until

_VERDICTS = "/monitor/verdicts"


def _ask(stack: Stack, path: str = _VERDICTS) -> httpx.Response:
    return httpx.get(f"{stack.url('DASHBOARD_PORT')}{path}", timeout=30)


def test_without_it_the_dashboard_says_so_and_nothing_else_is_down(stack: Stack) -> None:
    answer = _ask(stack)
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:handful:problem:no-monitor")
    assert _ask(stack, "/").is_success


@pytest.fixture
def monitor(stack: Stack) -> Iterator[Stack]:
    """The stack with the monitor, whose image is built without Evidently: that is a gigabyte."""
    stack.settings["MONITOR_EXTRAS"] = "none"
    stack.compose_output("build", "monitor", timeout=900)
    stack.compose_output("up", "--wait", "--no-deps", "monitor")
    yield stack
    stack.compose_output("rm", "--stop", "--force", "monitor")
    del stack.settings["MONITOR_EXTRAS"]


def test_it_answers_through_nginx_and_goes_round(monitor: Stack) -> None:
    until(lambda: _ask(monitor).json().get("last_round"), "the monitor's first round ends")
    told = _ask(monitor).json()
    assert (told["mlflow_up"], told["stale_since"], told["failure"]) == (True, None, "")
    assert _ask(monitor, "/monitor/requests?hours=1").json()["from"] == "log"
    assert _ask(monitor, "/monitor/metrics").status_code == 404


def test_it_is_shut_in_as_the_others_are(monitor: Stack) -> None:
    name = monitor.compose_output("ps", "--quiet", "monitor").strip()
    (found,) = json.loads(docker("inspect", name))
    assert found["Config"]["User"] == "10001:10001"
    assert found["HostConfig"]["ReadonlyRootfs"] is True
    assert found["HostConfig"]["PortBindings"] in ({}, None)
    assert found["HostConfig"]["CapDrop"] == ["ALL"]
    assert [network.removeprefix(f"{monitor.project}_") for network in found["NetworkSettings"]["Networks"]] == ["edge"]
    look = (
        "import importlib.util as u, shutil, sys;"
        "print([n for n in ('torch', 'mlflow', 'onnxruntime', 'cv2', 'pandas') if u.find_spec(n)],"
        " [n for n in ('gcc', 'make', 'git', 'uv') if shutil.which(n)])"
    )
    assert monitor.compose_output("exec", "-T", "monitor", "python", "-c", look).strip() == "[] []"
