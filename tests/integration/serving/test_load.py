"""Four times as many clients as there is room for: some are answered in time, the others are told to come back."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fakes.packages import build_package, encode, picture
from handful_serving.adapters.memory import resident
from handful_serving.domain.predictor import Pipeline
from support.live_serving import LiveServing
from support.waiting import until

HAND = encode(picture({(2, 3): "5"}))
WORK = 0.02
"""Seconds that an image is made to take at least, so that the load is the same on every machine."""
QUEUE, DEADLINE = 4, 10.0
_ROOM = 1 + QUEUE


@pytest.fixture
def serving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveServing]:
    real = Pipeline.prepare

    def slow(*arguments: object, **words: object) -> object:
        time.sleep(WORK)
        return real(*arguments, **words)  # type: ignore[arg-type]

    monkeypatch.setattr(Pipeline, "prepare", slow)
    settings = {"queue_size": QUEUE, "deadline_seconds": DEADLINE, "face_blur": "off"}
    with LiveServing(tmp_path / "home", settings=settings) as live:
        live.mlflow.register(build_package(tmp_path / "one"), aliases=["champion"])
        live.wait_until_ready()
        yield live


class Crowd:
    """Clients that ask without a pause."""

    def __init__(self, url: str, clients: int) -> None:
        self.statuses: Counter[int] = Counter()
        self.slowest = 0.0
        self.wrong: list[str] = []
        self._url = url
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def run(self, seconds: float) -> None:
        for thread in self._threads:
            thread.start()
        time.sleep(seconds)
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        with httpx.Client(base_url=self._url, timeout=60) as http:
            while not self._end.is_set():
                started = time.monotonic()
                response = http.post("/predict", content=HAND, headers={"Content-Type": "image/png"})
                self.statuses[response.status_code] += 1
                if response.status_code == 200:
                    self.slowest = max(self.slowest, time.monotonic() - started)
                    if response.json()["count"] != 5:
                        self.wrong.append(response.text)
                elif response.status_code != 503 or int(response.headers["retry-after"]) < 1:
                    self.wrong.append(response.text)


def overload(serving: LiveServing, seconds: float, to_recover: float) -> Crowd:
    """Ask at four times the capacity, then see that all is as before within so many seconds."""
    predict(serving)
    before = resident()
    crowd = Crowd(serving.url, 4 * _ROOM)
    crowd.run(seconds)
    assert crowd.wrong == []
    assert set(crowd.statuses) == {200, 503}
    assert crowd.slowest < DEADLINE
    assert resident() - before < 60_000_000
    recovered = time.monotonic()
    while httpx.post(f"{serving.url}/predict", content=HAND, timeout=30).status_code != 200:
        assert time.monotonic() - recovered < to_recover
    metrics = httpx.get(f"{serving.url}/metrics", timeout=30).text
    assert 'handful_rejects_total{reason="queue_full"}' in metrics
    assert "handful_queue_length 0.0" in metrics
    return crowd


def predict(serving: LiveServing) -> int:
    return httpx.post(f"{serving.url}/predict", content=HAND, timeout=30).status_code


def test_at_four_times_the_capacity_nothing_fails_but_by_being_told_to_wait(serving: LiveServing) -> None:
    overload(serving, 3, to_recover=30)  # Others may be at work on the machine.


@pytest.mark.slow
def test_for_a_minute(serving: LiveServing) -> None:
    crowd = overload(serving, 60, to_recover=1)
    assert crowd.statuses[200] > 20


def waiting(serving: LiveServing) -> float:
    lines = httpx.get(f"{serving.url}/metrics", timeout=30).text.splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("handful_queue_length ")))


def test_a_client_that_goes_away_frees_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release, real = threading.Event(), Pipeline.prepare

    def held(*arguments: object, **words: object) -> object:
        release.wait(60)
        return real(*arguments, **words)  # type: ignore[arg-type]

    monkeypatch.setattr(Pipeline, "prepare", held)
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {len(HAND)}\r\n\r\n"
    with LiveServing(tmp_path / "home", settings={"queue_size": 3, "face_blur": "off"}) as serving:
        serving.mlflow.register(build_package(tmp_path / "one"), aliases=["champion"])
        serving.wait_until_ready()
        clients = []
        for _ in range(5):  # One that is worked on, one that is next, three that wait.
            client = socket.create_connection(("127.0.0.1", serving.port), timeout=30)
            client.sendall(head.encode() + HAND)
            clients.append(client)
        until(lambda: waiting(serving) == 3, "3 requests that wait")
        assert predict(serving) == 503
        clients[3].close()
        until(lambda: waiting(serving) == 2, "2 requests that wait")
        for client in clients[2:]:
            client.close()
        until(lambda: waiting(serving) == 0, "0 requests that wait")
        release.set()
        for client in clients[:2]:
            assert client.recv(100).startswith(b"HTTP/1.1 200")
            client.close()
        assert predict(serving) == 200


def test_a_body_that_does_not_come_is_not_waited_for(tmp_path: Path) -> None:
    with (
        LiveServing(tmp_path / "home", settings={"body_seconds": 0.3, "face_blur": "off"}) as serving,
        socket.create_connection(("127.0.0.1", serving.port), timeout=30) as client,
    ):
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nbegun")
        assert client.recv(100).startswith(b"HTTP/1.1 408")


def test_bodies_in_memory_are_bounded(tmp_path: Path) -> None:
    settings = {"max_pending_bytes": 1000, "face_blur": "off"}
    with LiveServing(tmp_path / "home", settings=settings) as serving:
        serving.mlflow.register(build_package(tmp_path / "one"), aliases=["champion"])
        serving.wait_until_ready()
        response = httpx.post(f"{serving.url}/predict", content=b"x" * 2000, timeout=30)
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
        for _ in range(20):
            assert predict(serving) == 200, "what was answered counts no more"
