import io
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from handful_trainer.tracking.reaper import RunReaper, watch


class Mlflow(HTTPServer):
    """Notes the statuses that runs are given; answers the first calls with a fault if asked to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.updates: list[dict[str, str]] = []
        self.faults = 0

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Mlflow

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.faults:
            self.server.faults -= 1
            self.send_response(503)
        else:
            self.server.updates.append(body)
            self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mlflow() -> Iterator[Mlflow]:
    server = Mlflow()
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("said", "status"), [("", "KILLED"), ("FAILED\n", "FAILED"), ("KILLED\nFAILED\n", "FAILED")])
def test_a_training_that_ends_unheard_is_marked(mlflow: Mlflow, said: str, status: str) -> None:
    watch(mlflow.uri, "r1", io.StringIO(said))
    assert mlflow.updates == [{"run_id": "r1", "status": status}]


def test_a_training_that_says_it_is_done_is_left_alone(mlflow: Mlflow) -> None:
    watch(mlflow.uri, "r1", io.StringIO("FINISHED\ndone\n"))
    assert mlflow.updates == []


def test_it_waits_for_mlflow_to_come_back(mlflow: Mlflow) -> None:
    mlflow.faults = 2
    watch(mlflow.uri, "r1", io.StringIO(""))
    assert mlflow.updates == [{"run_id": "r1", "status": "KILLED"}]


def test_the_real_process_marks_nothing_when_done(mlflow: Mlflow) -> None:
    with RunReaper(mlflow.uri, "r1") as watchdog:
        watchdog.done()
    assert mlflow.updates == []


def test_the_real_process_marks_a_killed_run_and_shows_no_password(mlflow: Mlflow) -> None:
    with RunReaper(mlflow.uri.replace("//", "//ada:secret@"), "r1") as watchdog:
        assert "secret" not in str(watchdog._process.args)
    assert watchdog._process.wait(60) == 0
    assert mlflow.updates == [{"run_id": "r1", "status": "KILLED"}]
