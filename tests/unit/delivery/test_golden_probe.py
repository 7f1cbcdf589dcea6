"""What is asked in a pod, of a real serving: right answers pass, others do not."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from delivery.golden_probe import ask_all

_EXPECTED = {
    "image": "golden.png",
    "confidence": 0.25,
    "detections": [{"class_id": 5, "confidence": 0.9, "box": [10.0, 10.0, 50.0, 50.0]}],
}
_ANSWER = {"detections": [{"class": 5, "name": "5", "confidence": 0.905, "box": [10.2, 10.0, 50.1, 49.9]}]}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of a server that serves `a.b`, version 3."""
    monkeypatch.setenv("HANDFUL_HOME", str(tmp_path))
    folder = tmp_path / "cache" / "models"
    package = folder / "a%2Eb" / "3-0123" / "package"
    package.mkdir(parents=True)
    (folder / "champions.json").write_text(json.dumps({"a.b": 3}))
    (package / "golden.png").write_bytes(b"png")
    (package / "manifest.json").write_text(json.dumps({"golden": _EXPECTED}))
    return folder


@contextmanager
def _answering(answers: list[tuple[int, Any]]) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """A server that gives these answers, the last one for ever."""
    asked: list[tuple[str, str | None]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, answer = answers.pop(0) if len(answers) > 1 else answers[0]
            asked.append((self.path, self.headers["X-API-Key"]))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()


def test_right_answers(cache: Path) -> None:
    with _answering([(200, _ANSWER)]) as (address, asked):
        report = ask_all(address, "k", 8)
    assert report["models"] == {"a.b/3": "right"}
    assert (report["requests"], report["failed"], report["wrong"], report["errors"]) == (8, 0, 0, [])
    assert set(asked) == {("/predict?model=a.b&version=3&confidence=0.25", "k")}
    assert len(asked) == 9


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([], "a box of class 5 is missing"),
        ([{"class": 4, "confidence": 0.9, "box": [10, 10, 50, 50]}], "a box of class 5 is missing"),
        ([{"class": 5, "confidence": 0.8, "box": [10, 10, 50, 50]}], "a box of class 5 is missing"),
        ([{"class": 5, "confidence": 0.9, "box": [60, 60, 90, 90]}], "a box of class 5 is missing"),
        ([*_ANSWER["detections"], {"class": 1, "confidence": 0.5, "box": [0, 0, 9, 9]}], "1 boxes too many"),
    ],
)
def test_wrong_answers(cache: Path, found: list[Any], said: str) -> None:
    with _answering([(200, {"detections": found})]) as (address, _):
        report = ask_all(address, "", 2)
    assert said in report["models"]["a.b/3"]
    assert report["wrong"] == 2


def test_one_failed_request_is_counted(cache: Path) -> None:
    with _answering([(200, _ANSWER), (503, {"title": "overloaded"}), (200, _ANSWER)]) as (address, _):
        report = ask_all(address, "", 5)
    assert (report["failed"], report["wrong"]) == (1, 0)
    assert report["errors"][0].startswith("HTTP 503")


def test_a_classifier(cache: Path) -> None:
    manifest = cache / "a%2Eb" / "3-0123" / "package" / "manifest.json"
    manifest.write_text(
        json.dumps({"golden": {"image": "golden.png", "confidence": 0.25, "probabilities": [0.7, 0.3]}})
    )
    right = {"top": [{"class": 0, "probability": 0.7}, {"class": 1, "probability": 0.3}]}
    wrong = {"top": [{"class": 0, "probability": 0.4}, {"class": 1, "probability": 0.6}]}
    for answer, expected in ((right, "right"), (wrong, "a.b: probabilities differ by 0.300"), ({}, "differ by 1.000")):
        with _answering([(200, answer)]) as (address, _):
            assert expected in ask_all(address, "", 1)["models"]["a.b/3"]


def test_nobody_answers(cache: Path) -> None:
    report = ask_all("http://127.0.0.1:1", "", 3)
    assert report["failed"] == 3
    assert "refused" in report["models"]["a.b/3"]
