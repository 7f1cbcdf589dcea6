"""scripts/monitor: what it calls, and what it says of servers that are well, ill, away or something else."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from commands import monitor
from commands.monitor import Endpoint
from compose.errors import ComposeError
from fakes.docker import FakeDockerCli
from support.mlflow_server import free_port


class Answers:
    """A server that answers paths as a test says, and keeps what it is sent."""

    def __init__(self) -> None:
        self.paths: dict[str, Any] = {}
        self.sent: list[Any] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = outer.paths.get(self.path)
                self.send_response(404 if body is None else 200)
                self.end_headers()
                self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

            def do_POST(self) -> None:
                outer.sent += json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def answers() -> Iterator[Answers]:
    server = Answers()
    server.paths = {
        "/api/v1/targets": {
            "data": {"activeTargets": [{"labels": {"job": "serving"}, "health": "up", "lastError": ""}]}
        },
        "/api/v1/rules": {"data": {"groups": [{"rules": [{"name": "HandfulDrift", "lastError": ""}]}]}},
        "/api/v1/alerts": {"data": {"alerts": []}},
        "/api/v1/alertmanagers": {"data": {"activeAlertmanagers": [{"url": "http://alertmanager:9093/api/v2/alerts"}]}},
        "/api/v2/alerts": [{"labels": {"alertname": "HandfulTest"}}],
        "/api/health": {"database": "ok", "version": "12"},
    }
    yield server
    server.close()


@pytest.fixture
def docker(answers: Answers) -> FakeDockerCli:
    def service(port: int | None = answers.port) -> dict[str, Any]:
        ports = [{"host_ip": "127.0.0.1", "published": str(port)}] if port else []
        return {"profiles": ["monitoring"], "ports": ports}

    services = {name: service() for name in ("prometheus", "alertmanager", "grafana")}
    services |= {"monitor": service(None), "mlflow": {}, "trainer": {"profiles": ["train"]}}
    running = [
        {"Service": name, "Name": name, "State": "running", "Health": "healthy"}
        for name in services
        if name != "trainer"
    ]
    return FakeDockerCli({"services": services}, running=running)


def test_all_is_well(docker: FakeDockerCli, answers: Answers, capsys: pytest.CaptureFixture[str]) -> None:
    assert monitor.status(docker) == 0
    said = capsys.readouterr()
    assert "monitor: healthy" in said.err + said.out
    assert "no alert fires" in said.err + said.out
    assert "mlflow" not in said.err + said.out
    assert monitor.test(docker) == 0
    (alert,) = answers.sent
    assert alert["labels"] == {"alertname": "HandfulTest", "severity": "warning"}


def test_what_fires_is_said_and_is_no_fault_of_the_monitoring(
    docker: FakeDockerCli, answers: Answers, capsys: pytest.CaptureFixture[str]
) -> None:
    drift = {"alertname": "HandfulDrift"}
    answers.paths["/api/v1/alerts"]["data"]["alerts"] = [
        {"labels": drift, "annotations": {"description": "It differs.\n"}, "state": "firing"},
        {"labels": {"alertname": "HandfulMemory"}, "annotations": {}, "state": "pending"},
    ]
    assert monitor.status(docker) == 0
    said = "".join(capsys.readouterr())
    assert "fires: HandfulDrift: It differs.\n" in said
    assert "HandfulMemory" not in said


@pytest.mark.parametrize(
    ("path", "body", "line"),
    [
        ("/api/v1/targets", {"data": {"activeTargets": []}}, "Prometheus reaches all: no, it has nothing to ask"),
        (
            "/api/v1/targets",
            {"data": {"activeTargets": [{"labels": {"job": "monitor"}, "health": "down", "lastError": "refused"}]}},
            "not reached: monitor (refused)",
        ),
        (
            "/api/v1/targets",
            {"data": {"activeTargets": [{"labels": {"job": "monitor"}, "health": "unknown", "lastError": ""}]}},
            "not reached: monitor (it is unknown)",
        ),
        ("/api/v1/rules", {"data": {"groups": []}}, "Prometheus has its rules: no, it has no rules"),
        ("/api/v1/rules", {"data": {"groups": [{"rules": [{"name": "A", "lastError": "x"}]}]}}, "in error: A (x)"),
        ("/api/v1/alertmanagers", {"data": {"activeAlertmanagers": []}}, "Alertmanager: no, it has none"),
        ("/api/health", {"database": "locked"}, "Grafana answers: no, its database is locked"),
        ("/api/health", None, "answers 404"),
        ("/api/health", b"<html>", "is something else"),
    ],
)
def test_what_is_wrong_is_said_and_the_rest_is_tried(
    docker: FakeDockerCli, answers: Answers, capsys: pytest.CaptureFixture[str], path: str, body: object, line: str
) -> None:
    answers.paths[path] = body
    assert monitor.test(docker) == 1
    said = "".join(capsys.readouterr())
    assert line in said
    assert [text.startswith("error: ") for text in said.splitlines()].count(True) == 1
    assert said.count("\n") == 5


def test_an_alert_that_is_not_listed(answers: Answers) -> None:
    answers.paths["/api/v2/alerts"] = []
    with pytest.raises(ComposeError, match="does not list it within 0 s"):
        monitor.check_delivery(Endpoint(f"http://127.0.0.1:{answers.port}"), seconds=0)


def test_a_server_that_is_away() -> None:
    with pytest.raises(ComposeError, match="does not answer"):
        Endpoint(f"http://127.0.0.1:{free_port()}").get("/")


def test_a_stack_without_monitoring(docker: FakeDockerCli, capsys: pytest.CaptureFixture[str]) -> None:
    docker.running = [container for container in docker.running if container["Service"] == "mlflow"]
    assert monitor.status(docker) == 1
    assert "prometheus: not started" in "".join(capsys.readouterr())


def test_stop_ends_the_monitoring_alone_and_keeps_its_volumes(docker: FakeDockerCli) -> None:
    monitor.stop(docker)
    assert docker.calls == [
        (*("--profile", "monitoring", "rm", "--stop", "--force"), "prometheus", "alertmanager", "grafana", "monitor")
    ]


@pytest.mark.parametrize(("follow", "words"), [(True, ("--follow",)), (False, ("--tail", "200"))])
def test_logs(docker: FakeDockerCli, follow: bool, words: tuple[str, ...]) -> None:
    assert monitor.logs(docker, follow=follow) == 0
    assert docker.calls[0][2 : 3 + len(words)] == ("logs", *words)
    assert "mlflow" not in docker.calls[0]
