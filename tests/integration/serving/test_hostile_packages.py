"""Packages that would stop a server, registered as champions beside one that is under load: it serves as before."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from fakes.hostile import endless, endless_on_white, hostile_package, hungry
from fakes.packages import build_package, encode
from handful_core.package import Package
from handful_core.runtime.openvino import is_installed
from integration.serving.test_serving import Load, predict
from support.registering import register
from support.serving_process import ServingProcess
from support.waiting import until

needs_openvino = pytest.mark.skipif(not is_installed(), reason="OpenVINO is not installed: pip install openvino")
Harm = Callable[[Path, str], Package]
SETTINGS = {
    "HANDFUL_SERVING_MODEL_MEMORY_MB": "700",
    "HANDFUL_SERVING_PROBE_SECONDS": "40",
    "HANDFUL_SERVING_RUN_SECONDS": "5",
    "HANDFUL_SERVING_FACE_BLUR": "off",
}


def _endless(root: Path, name: str) -> Package:
    return hostile_package(root, endless, name=name)


def _hungry(root: Path, name: str) -> Package:
    return hostile_package(root, hungry(), name=name)


class Registered:
    """A good model, and a serving process that serves it beside what a test adds."""

    def __init__(self, test: str, folder: Path, mlflow: str) -> None:
        self.good, self.bad, self.other = (f"{test}-{which}" for which in ("good", "bad", "other"))
        self._folder, self.mlflow = folder, mlflow
        names = ",".join((self.good, self.bad, self.other))
        settings = {"HANDFUL_SERVING_DEFAULT_MODEL": self.good, "HANDFUL_SERVING_MODELS": names}
        self.serving = ServingProcess(folder / "serving", mlflow, SETTINGS | settings)
        self.add(self.good)

    def add(self, name: str, make: Harm | None = None) -> int:
        """Make a package the champion of a model."""
        root = self._folder / f"package-{time.monotonic_ns()}"
        package = make(root, name) if make else build_package(root, name=name)
        return register(self.mlflow, package.root, name, ["champion"])

    def version(self, name: str) -> dict[str, Any]:
        """The newest version of a model, as serving lists it; its state is None before serving knows it."""
        answer = httpx.get(f"{self.serving.url}/models/{name}", timeout=30)
        if answer.status_code == 404:
            return {"state": None}
        found: dict[str, Any] = answer.raise_for_status().json()["versions"][0]
        return found

    def is_refused(self) -> bool:
        return bool(self.version(self.bad)["state"] == "refused")

    def probes(self) -> int:
        """Packages that were tried in a process of their own, by the log."""
        return self.serving.log.count("in a process of its own")


@pytest.fixture
def registered(request: pytest.FixtureRequest, tmp_path: Path, mlflow_server: str) -> Iterator[Registered]:
    name = request.node.name.split("[")[0].removeprefix("test_")[:24] + f"-{time.monotonic_ns()}"
    made = Registered(name, tmp_path, mlflow_server)
    made.serving.start()
    yield made
    made.serving.stop()


@pytest.mark.parametrize(("make", "kind"), [(_endless, "time"), (_hungry, "memory")], ids=["endless", "4-gb"])
def test_it_is_refused_and_no_request_for_another_model_fails(registered: Registered, make: Harm, kind: str) -> None:
    serving, bad = registered.serving, registered.bad
    with Load(serving.url, clients=2) as load:
        until(lambda: sum(load.answers.values()) >= 20, "answers")
        registered.add(bad, make)
        registered.add(registered.other)
        until(lambda: registered.version(registered.other)["state"] == "served", "another champion beside it")
        until(registered.is_refused, "the refusal")
        seen = sum(load.answers.values())
        until(lambda: sum(load.answers.values()) >= seen + 20, "more answers")
    print(f"{sum(load.answers.values())} answers beside it, {len(load.failures)} failures")  # `pytest -s` shows it.
    assert load.failures == []
    assert set(load.answers) == {(1, 7)}
    assert registered.version(bad)["reason"], "the dashboard says why"
    metrics = httpx.get(f"{serving.url}/metrics").text
    assert f'handful_model_reloads_total{{model="{bad}",outcome="refused",reason="{kind}"}} 1.0' in metrics
    answer = httpx.post(f"{serving.url}/predict", params={"model": bad}, content=b"x", timeout=30)
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:handful:problem:model-refused")


def test_a_restart_meets_it_no_more(registered: Registered) -> None:
    serving = registered.serving
    registered.add(registered.bad, _endless)
    until(registered.is_refused, "the refusal")
    assert registered.probes() == 2, "of the good one, and of this one"
    serving.stop()
    serving.start()
    until(registered.is_refused, "the refusal")
    assert registered.probes() == 2, "neither was tried again"
    assert predict(serving.url)["count"] == 7
    noted = json.loads((serving.root / "home" / "cache" / "models" / "probe.json").read_text())
    assert sorted(verdict["kind"] for verdict in noted.values()) == ["", "time"]


def test_a_champion_that_takes_long_holds_up_no_other_one(registered: Registered) -> None:
    """While one is tried, new versions of two others come to serve."""
    serving = registered.serving
    serving.stop()
    serving.settings |= {"HANDFUL_SERVING_PROBE_SECONDS": "400", "HANDFUL_SERVING_RUN_SECONDS": "300"}
    serving.start()
    registered.add(registered.bad, _endless)
    until(lambda: "probe_process" in _processes(), "the process that tries it")
    registered.add(registered.good)
    until(lambda: predict(serving.url)["version"] == 2, "the new version")
    registered.add(registered.other)
    until(lambda: registered.version(registered.other)["state"] == "served", "the other model")
    assert predict(serving.url, model=registered.other)["version"] == 1
    assert not registered.is_refused(), "it is still tried"


def _endless_on_white(root: Path, name: str) -> Package:
    return hostile_package(root, endless_on_white, name=name)


@pytest.mark.parametrize("backend", ["onnxruntime", pytest.param("openvino", marks=needs_openvino)])
def test_a_run_that_takes_too_long_is_given_up(registered: Registered, backend: str) -> None:
    serving, slow = registered.serving, registered.bad
    serving.stop()
    serving.settings |= {"HANDFUL_SERVING_INFERENCE_BACKEND": backend, "HANDFUL_SERVING_RUN_SECONDS": "2"}
    serving.start()
    registered.add(slow, _endless_on_white)
    until(lambda: registered.version(slow)["state"] == "served", "the slow model, whose golden image is not white")
    assert predict(serving.url, model=slow)["count"] == 7
    with Load(serving.url, clients=1) as load:
        until(lambda: sum(load.answers.values()) >= 3, "answers")
        began = time.monotonic()
        answer = _ask_about_white(serving, slow)
        assert time.monotonic() - began >= 2
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:handful:problem:model-refused")
        assert "a run of the graph took longer than 2 s and was" in answer.json()["detail"]
        seen = sum(load.answers.values())
        until(lambda: sum(load.answers.values()) >= seen + 5, "answers of the other model")
    assert load.failures == []
    if backend == "onnxruntime":  # It ended the run, and the next is a new one.
        assert predict(serving.url, model=slow)["count"] == 7
    else:  # It cannot: its threads work on, so that no more are begun.
        began = time.monotonic()
        assert _ask_about_white(serving, slow).status_code == 503
        assert time.monotonic() - began < 2
    assert serving.stop() == 0


def _ask_about_white(serving: ServingProcess, model: str) -> httpx.Response:
    white = encode(np.full((64, 64, 3), 255, np.uint8))
    files = {"image": ("white.png", white)}
    return httpx.post(f"{serving.url}/predict", params={"model": model}, files=files, timeout=60)


def _processes() -> str:
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_text(errors="replace"))
        except OSError:  # It has ended.
            continue
    return "\n".join(lines)
