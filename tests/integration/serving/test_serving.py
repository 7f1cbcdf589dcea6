"""`handful serve` beside a real MLflow."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fakes.packages import build_package, damage, encode, picture
from handful_core.client import ServingClient
from handful_core.errors import DataError, NotFoundError
from support.mlflow_server import MlflowServer, free_port
from support.registering import point, register
from support.serving_process import ServingProcess
from support.waiting import until

HAND = encode(picture({(2, 3): "5", (5, 6): "2"}))


def predict(url: str, **params: str | int) -> dict[str, Any]:
    response = httpx.post(f"{url}/predict", params=params, files={"image": ("hand.png", HAND)}, timeout=30)
    assert response.status_code == 200, response.text
    return dict(response.json())


@pytest.fixture
def serving(request: pytest.FixtureRequest, tmp_path: Path, mlflow_server: str) -> Iterator[ServingProcess]:
    """Serving of one model, whose name is the test's."""
    model = request.node.name.replace("[", "-").replace("]", "")
    register(mlflow_server, build_package(tmp_path / "one", name=model).root, model, ["champion"])
    settings = {"HANDFUL_SERVING_DEFAULT_MODEL": model, "HANDFUL_SERVING_MODELS": model}
    process = ServingProcess(tmp_path / "serving", mlflow_server, settings).start()
    yield process
    process.stop()


class Load:
    """Clients that ask without a pause, each on a connection of its own."""

    def __init__(self, url: str, clients: int) -> None:
        self.answers: Counter[Any] = Counter()
        self.failures: list[str] = []
        self._url = url
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        with httpx.Client(base_url=self._url, timeout=30) as http:
            while not self._end.is_set():
                try:
                    response = http.post("/predict", content=HAND, headers={"Content-Type": "image/png"})
                except httpx.TransportError as error:
                    self.failures.append(repr(error))
                    continue
                if response.status_code == 200:
                    self.answers[response.json()["version"], response.json()["count"]] += 1
                else:
                    self.failures.append(response.text)


def test_champions_are_swapped_without_a_failed_request(
    serving: ServingProcess, mlflow_server: str, tmp_path: Path
) -> None:
    name = serving.settings["HANDFUL_SERVING_MODELS"]
    for number, head in enumerate(("nms_free", "nms_in_graph"), 2):
        package = build_package(tmp_path / head, head, name=name)  # type: ignore[arg-type]
        assert register(mlflow_server, package.root, name) == number
    with Load(serving.url, clients=4) as load:
        for version in (2, 3, 1, 3, 2):
            point(mlflow_server, "champion", version, name)
            seen = sum(load.answers.values())
            until(lambda v=version: predict(serving.url)["version"] == v, f"version {version} answers")  # type: ignore[misc]
            until(lambda s=seen: sum(load.answers.values()) >= s + 50, "more answers")  # type: ignore[misc]
    assert load.failures == []
    assert set(load.answers) == {(1, 7), (2, 7), (3, 7)}, "every version answered, and every answer was right"


def test_a_bad_package_is_refused_and_the_old_one_serves(
    serving: ServingProcess, mlflow_server: str, tmp_path: Path
) -> None:
    name = serving.settings["HANDFUL_SERVING_MODELS"]
    package = build_package(tmp_path / "bad", name=name)
    damage(package.root, "golden")
    register(mlflow_server, package.root, name, ["champion"])

    def newest() -> dict[str, Any]:
        return dict(httpx.get(f"{serving.url}/models/{name}", timeout=30).json()["versions"][0])

    until(lambda: newest()["state"] == "refused", "the failure is visible")
    assert "golden image" in newest()["reason"]
    assert predict(serving.url)["version"] == 1
    assert httpx.get(f"{serving.url}/health/ready", timeout=30).status_code == 200
    metrics = httpx.get(f"{serving.url}/metrics", timeout=30).text
    assert f'handful_model_reloads_total{{model="{name}",outcome="refused",reason="golden"}} 1.0' in metrics
    time.sleep(1)
    assert serving.log.count(f"refused {name} version 2: ") == 1, "told once, though it was polled several times"


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=30).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_was_accepted_is_finished_before_it_ends(serving: ServingProcess, number: signal.Signals) -> None:
    """A client is in the middle of sending its image when the signal comes."""
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {len(HAND)}\r\n"
    with socket.create_connection(("127.0.0.1", serving.port), timeout=30) as client:
        client.sendall(head.encode() + b"Expect: 100-continue\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 100 "), "it is accepted: the body is read"
        client.sendall(HAND[:100])
        serving.tell(number)
        until(lambda: not listens(serving.port), "it lets nobody else in")
        client.sendall(HAND[100:])
        answer = b""
        while chunk := client.recv(65536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["count"] == 7
    assert serving.end() == 0
    assert "Traceback" not in serving.log


def test_the_commands_client_understands_it(serving: ServingProcess, tmp_path: Path) -> None:
    hand, text = tmp_path / "hand.png", tmp_path / "text.png"
    hand.write_bytes(HAND)
    text.write_text("text")
    with ServingClient(serving.url) as server:
        assert server.readiness() == "ready"
        assert server.predict(hand, confidence=0.5)["count"] == 7
        with pytest.raises(NotFoundError, match="there is no model nobody"):
            server.predict(hand, model="nobody")
        with pytest.raises(DataError, match=r"text\.png: the file is not an image"):
            server.predict(text)


def test_a_client_that_sends_too_much_gets_its_answer(serving: ServingProcess) -> None:
    """It may still be sending when the answer comes."""
    for _ in range(3):
        response = httpx.post(f"{serving.url}/predict", content=b"x" * 30_000_000, timeout=30)
        assert response.status_code == 413
        assert "larger than 20 MB" in response.json()["detail"]
    assert predict(serving.url)["count"] == 7


def test_without_mlflow_the_cache_serves_until_it_is_back(tmp_path: Path) -> None:
    mlflow = MlflowServer(tmp_path / "mlflow").start()
    serving = ServingProcess(tmp_path / "serving", mlflow.uri)
    try:
        register(mlflow.uri, build_package(tmp_path / "one").root, aliases=["champion"])
        serving.start()
        with Load(serving.url, clients=2) as load:
            mlflow.kill()
            until(
                lambda: "handful_registry_reachable 0.0" in httpx.get(f"{serving.url}/metrics", timeout=30).text,
                "the loss is visible",
            )
            seen = sum(load.answers.values())
            until(lambda: sum(load.answers.values()) > seen + 20, "it goes on answering")
        assert load.failures == []

        assert serving.stop(signal.SIGKILL) == -signal.SIGKILL
        started = time.perf_counter()
        serving.start()
        assert time.perf_counter() - started < 60
        assert predict(serving.url)["version"] == 1
        models = httpx.get(f"{serving.url}/models", timeout=30).json()
        assert [version["state"] for version in models["models"][0]["versions"]] == ["served"]

        mlflow.start()
        register(mlflow.uri, build_package(tmp_path / "two", "nms_free").root, aliases=["champion"])
        until(lambda: predict(serving.url)["version"] == 2, "the new champion answers")
        assert serving.stop() == 0
    finally:
        serving.stop(signal.SIGKILL)
        mlflow.kill()


def test_killed_in_the_middle_of_a_swap_it_starts_with_the_right_model(
    serving: ServingProcess, mlflow_server: str, tmp_path: Path
) -> None:
    name = serving.settings["HANDFUL_SERVING_MODELS"]
    for number, pause in enumerate((0.05, 0.25), 2):
        package = build_package(tmp_path / str(number), "nms_free", name=name, sharpness=5.0 + number)
        assert register(mlflow_server, package.root, name, ["champion"]) == number
        time.sleep(pause)
        serving.stop(signal.SIGKILL)
        serving.start()
        until(lambda n=number: predict(serving.url)["version"] == n, f"version {number} answers")  # type: ignore[misc]
        assert predict(serving.url)["count"] == 7


@pytest.mark.slow
def test_two_thousand_requests_and_not_one_fails_while_champions_change(
    serving: ServingProcess, mlflow_server: str, tmp_path: Path
) -> None:
    name = serving.settings["HANDFUL_SERVING_MODELS"]
    register(mlflow_server, build_package(tmp_path / "two", "nms_free", name=name).root, name)
    with Load(serving.url, clients=4) as load:
        version = 1
        while sum(load.answers.values()) + len(load.failures) < 2000:
            version = 3 - version
            point(mlflow_server, "champion", version, name)
            until(lambda v=version: predict(serving.url)["version"] == v, f"version {version} answers")  # type: ignore[misc]
    assert load.failures == []


def run(*words: str, **environment: str) -> tuple[int, str]:
    import os

    done = subprocess.run(
        [sys.executable, "-m", "handful_core", "serve", *words],
        capture_output=True, text=True, timeout=60, check=False, env=os.environ | environment,
    )  # fmt: skip
    return done.returncode, done.stderr


def test_a_port_that_is_taken_is_told_before_anything_is_loaded(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        status, words = run("--port", str(port), HANDFUL_HOME=str(tmp_path / "home"))
    assert status == 6
    assert words.count("\n") == 1
    assert f"error: port {port} on 127.0.0.1 cannot be used (Address already in use)" in words
    assert not (tmp_path / "home").exists()


def test_a_wrong_setting_is_told_in_one_line(tmp_path: Path) -> None:
    status, words = run(
        "--port", str(free_port()), HANDFUL_SERVING_DASHBOARD_DIR=str(tmp_path), HANDFUL_HOME=str(tmp_path)
    )
    assert (status, words.count("\n")) == (2, 1)
    assert "has no index.html" in words
