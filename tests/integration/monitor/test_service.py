"""`handful monitor watch --port` as a process of its own, with a real MLflow that goes away and comes back."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from handful_core.listening import listen
from handful_core.review import ReviewStore
from handful_monitor.judge import Judge
from handful_monitor.references import References
from handful_monitor.report import Parts
from handful_monitor.server import RoundsEndedError, Service
from handful_monitor.settings import MonitorSettings
from support.mlflow_server import MlflowServer, free_port
from support.watched_model import WatchedModel, features

_SECONDS = 90


class MonitorProcess:
    """`handful monitor watch`, listening."""

    def __init__(self, uri: str, home: Path) -> None:
        self.port = free_port()
        self.log = home.parent / "monitor.log"
        settings = {"HANDFUL_HOME": str(home), "HANDFUL_MLFLOW_URI": uri, "HANDFUL_MONITOR_MINUTES": "0"}
        words = [sys.executable, "-m", "handful_core", "monitor", "watch", "--every", "1", "--port", str(self.port)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(words, env=os.environ | settings, stdout=log, stderr=log)

    def get(self, path: str) -> httpx.Response:
        """Ask it."""
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=30)

    def until(self, told: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Its verdicts, as soon as they are so."""
        until = time.monotonic() + _SECONDS
        while True:
            try:
                found: dict[str, Any] = self.get("/verdicts").json()
                if told(found):
                    return found
            except httpx.TransportError:
                found = {}
            assert time.monotonic() < until, f"{found}\n{self.log.read_text()}"
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.1)


@pytest.fixture
def mlflow(tmp_path: Path) -> Iterator[MlflowServer]:
    server = MlflowServer(tmp_path / "mlflow").start()
    yield server
    server.stop()


@pytest.fixture
def watched(mlflow: MlflowServer, tmp_path: Path) -> Iterator[WatchedModel]:
    found = WatchedModel(mlflow.uri, tmp_path)
    with found.registry, found.experiments:
        yield found


@pytest.fixture
def monitor(mlflow: MlflowServer, watched: WatchedModel) -> Iterator[MonitorProcess]:
    process = MonitorProcess(mlflow.uri, watched.home)
    yield process
    process.process.kill()
    process.process.wait()


def test_it_judges_tells_and_outlives_mlflow(
    mlflow: MlflowServer, watched: WatchedModel, monitor: MonitorProcess
) -> None:
    assert monitor.until(lambda told: told["last_round"])["verdicts"] == []
    watched.ship(watched.segment(features(100, 1, brightness=0.3), "camera-1"))
    (waits,) = monitor.until(lambda told: told["gathering"])["gathering"]
    assert (waits["source"], waits["rows"], waits["needed"]) == ("camera-1", 100, 250)
    watched.ship(watched.segment(features(200, 2, brightness=0.3), "camera-1"))
    (first,) = monitor.until(lambda told: told["verdicts"])["verdicts"]
    assert (first["verdict"], first["window"]["rows"]) == ("steady", 300)
    watched.ship(watched.segment(features(260, 3, brightness=0.3), "camera-1"))
    (found,) = monitor.until(lambda told: told["verdicts"][0]["verdict"] == "changed")["verdicts"]
    dark = found["features"][0]
    assert (dark["name"], dark["says"]) == ("brightness", "Pictures are darker than in training")
    assert sum(dark["histogram"]["now"]) == pytest.approx(1, abs=0.01)
    stream = f"model={watched.name}&version={watched.version}&source=camera-1"
    history = monitor.get(f"/verdicts/history?{stream}").json()["history"]
    assert [(one["verdict"], one["changed"]) for one in history] == [("steady", []), ("changed", ["brightness"])]
    assert (
        f'handful_drift_changed{{model="{watched.name}",source="camera-1",version="1"}} 1.0'
        in monitor.get("/metrics").text
    )
    page = httpx.get(
        f"{mlflow.uri}/api/2.0/mlflow/runs/get", params={"run_id": found["links"]["verdict"].split("/")[7]}
    )
    assert page.json()["run"]["info"]["experiment_id"] == found["links"]["verdict"].split("/")[5]

    mlflow.stop()
    stale = monitor.until(lambda told: told["stale_since"])
    assert (stale["mlflow_up"], stale["verdicts"]) == (False, [found])
    assert "handful_mlflow_up 0.0" in monitor.get("/metrics").text
    assert monitor.get("/health").json()["status"] == "ok"
    mlflow.start()
    assert monitor.until(lambda told: not told["stale_since"])["verdicts"] == [found]

    monitor.process.send_signal(signal.SIGTERM)
    assert monitor.process.wait(30) == 0, monitor.log.read_text()


def test_another_process_knows_what_the_first_said(
    mlflow: MlflowServer, watched: WatchedModel, monitor: MonitorProcess
) -> None:
    watched.ship(watched.segment(features(300, 1)))
    before = monitor.until(lambda told: told["verdicts"])["verdicts"]
    monitor.process.kill()
    monitor.process.wait()
    again = MonitorProcess(mlflow.uri, watched.home)
    try:
        after = again.until(lambda told: told["verdicts"])["verdicts"]
        assert [(one["at"], one["verdict"], one["links"]) for one in after] == [
            (one["at"], one["verdict"], one["links"]) for one in before
        ]
        # The verdicts stand at once, from the disk. Requests are counted anew from the log, by the first round.
        for _ in range(600):
            if again.get("/requests?hours=3").json()["points"]:
                break
            time.sleep(0.1)
        else:
            pytest.fail("requests are not counted anew")
    finally:
        again.process.kill()
        again.process.wait()


def test_a_port_in_use_is_told_at_once(served: WatchedModel) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        words = [sys.executable, "-m", "handful_core", "monitor", "watch", "--port", str(port)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert f"port {port} on 127.0.0.1 cannot be used" in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_where_the_rounds_end_the_server_ends_too(served: WatchedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    judge, reviews = Judge(References(served.registry)), ReviewStore.at(served.registry.uri)
    parts = Parts(MonitorSettings(), served.home, served.experiments, served.registry, judge, reviews)

    def bug(*_: object) -> list[str]:
        raise TypeError("a bug")

    monkeypatch.setattr(Parts, "models", bug)
    with listen("127.0.0.1", 0) as listening, pytest.raises(RoundsEndedError, match="ended by themselves"):
        Service(parts, None, lambda _: None, 1).run(listening)


def test_a_model_that_fails_does_not_stop_the_others(
    monitor: MonitorProcess, watched: WatchedModel, mlflow: MlflowServer, tmp_path: Path
) -> None:
    with closing(WatchedModel(mlflow.uri, tmp_path / "other")) as other:
        other.ship(other.segment(features(300, 1)))
    number = httpx.get(
        f"{mlflow.uri}/api/2.0/mlflow/experiments/get-by-name", params={"experiment_name": f"monitoring/{other.name}"}
    ).json()["experiment"]["experiment_id"]
    monitor.until(lambda told: told["verdicts"])
    httpx.post(f"{mlflow.uri}/api/2.0/mlflow/experiments/delete", json={"experiment_id": number}).raise_for_status()
    told = monitor.until(lambda told: told["failure"])
    assert told["mlflow_up"] is True
    assert "is deleted" in told["failure"]
    watched.ship(watched.segment(features(300, 1)))
    monitor.until(lambda told: watched.name in [one["model"] for one in told["verdicts"]])
