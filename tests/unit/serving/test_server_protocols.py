from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fakes.packages import build_package
from handful_core.vision.decode import ImageError
from handful_serving.server.protocols import HEAD_BYTES, BoundedHttpProtocol
from support.live_serving import LiveServing

_LINE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServing]:
    with LiveServing(tmp_path_factory.mktemp("home"), settings={"face_blur": "off"}) as live:
        yield live


@pytest.fixture
def client(serving: LiveServing) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", serving.port), timeout=60) as connection:
        yield connection


def _rest(client: socket.socket) -> bytes:
    """All that comes until the server closes the connection."""
    told = b""
    while chunk := client.recv(65_536):
        told += chunk
    return told


def _send(client: socket.socket, piece: bytes, times: int, pause: float = 0) -> None:
    for _ in range(times):
        client.sendall(piece)
        time.sleep(pause)


def _refused(told: bytes) -> tuple[int, str]:
    head, _, body = told.partition(b"\r\n\r\n")
    problem = json.loads(body)
    assert head.startswith(f"HTTP/1.1 {problem['status']} ".encode())
    assert b"application/problem+json" in head
    return problem["status"], problem["type"].rpartition(":")[2]


@pytest.mark.parametrize("begin", [_LINE + b"a: ", b"GET /"], ids=["headers", "the line"])
def test_a_head_without_end_is_given_up(client: socket.socket, begin: bytes) -> None:
    client.sendall(begin.ljust(HEAD_BYTES, b"a"))
    client.sendall(b"a")  # Nothing is left unread: the answer is not lost.
    assert _refused(_rest(client)) == (431, "head-too-large")


@pytest.mark.parametrize("more", [b"", b"Content-Length: 4000000\r\n"], ids=["alone", "before a body"])
@pytest.mark.parametrize("beyond", [100, 2 * HEAD_BYTES])
def test_a_whole_head_that_is_too_large_is_refused(client: socket.socket, beyond: int, more: bytes) -> None:
    head = (b"POST /predict HTTP/1.1\r\nHost: x\r\n" + more + b"a: ").ljust(HEAD_BYTES + beyond, b"a")
    client.sendall(head + b"\r\n\r\n" + bytes(4_000_000 if more else 0))
    assert _refused(_rest(client)) == (431, "head-too-large"), "and it is read, although the body was on its way"


@pytest.mark.parametrize("cut", range(-5, 2))
def test_a_head_may_be_cut_anywhere_before_a_large_body(client: socket.socket, cut: int) -> None:
    body = bytes(4 * HEAD_BYTES)
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n" % len(body)
    place = len(head) + cut
    client.sendall((head + body)[:place])
    time.sleep(0.05)
    client.sendall((head + body)[place:])
    assert client.recv(65_536).split()[1] in {b"415", b"503"}  # Read, and looked at; there is no model.


def test_a_large_head_does_not_become_a_websocket(client: socket.socket, caplog: pytest.LogCaptureFixture) -> None:
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    upgrade += b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    head = b"GET /ws/predict HTTP/1.1\r\nHost: x\r\n" + upgrade + b"a: "
    client.sendall(head.ljust(HEAD_BYTES + 200, b"a") + b"\r\n\r\n")
    assert _refused(_rest(client)) == (431, "head-too-large")
    assert [record.levelname for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize(
    "begin",
    [
        b"nonsense\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n",
    ],
)
def test_what_is_no_http_is_answered_as_a_problem(client: socket.socket, begin: bytes) -> None:
    client.sendall(begin)
    assert _refused(_rest(client)) == (400, "malformed-request")


def test_a_refusal_is_not_taken_for_the_answer_of_the_request_before(client: socket.socket) -> None:
    client.sendall(_LINE + b"\r\n" + b"nonsense\r\n\r\n")
    assert _rest(client) == b""


def test_a_head_that_does_not_come_is_not_waited_for(client: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedHttpProtocol, "seconds", 0.1)
    with socket.create_connection(client.getpeername(), timeout=60) as slow:
        slow.sendall(_LINE)
        assert _refused(_rest(slow)) == (408, "head-too-slow")
    with socket.create_connection(client.getpeername(), timeout=60) as silent:
        assert _rest(silent) == b""


def test_heads_are_counted_one_by_one(serving: LiveServing) -> None:
    large = {"X-Large": "a" * (HEAD_BYTES // 2)}
    with httpx.Client(base_url=serving.url, headers=large) as client:
        assert [client.get("/health/live").status_code for _ in range(5)] == [200] * 5


def test_a_head_in_pieces_is_read(client: socket.socket) -> None:
    for piece in (b"GET /hea", b"lth/live HT", b"TP/1.1\r\nHost", b": x\r\nConnection: close\r\n", b"\r\n"):
        client.sendall(piece)
    assert b'{"status":"live"}' in _rest(client)


def test_the_body_is_not_the_heads(serving: LiveServing) -> None:
    answer = httpx.post(f"{serving.url}/predict", content=bytes(4 * HEAD_BYTES), headers={"Content-Type": "image/png"})
    assert answer.status_code in {415, 503}  # Read, and looked at; there is no model.


_CHUNKED = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("trailer", [b"0\r\n", b"0\r\na: ", b"1;"], ids=["many", "one long", "of a chunk"])
def test_what_is_behind_a_body_is_bounded_too(client: socket.socket, trailer: bytes) -> None:
    client.sendall(_CHUNKED)
    assert client.recv(65_536).startswith(b"HTTP/1.1 404")
    line = b"a: " + b"b" * 1000 + b"\r\n" if trailer == b"0\r\n" else b"b" * 1000
    client.sendall(trailer)
    with pytest.raises(ConnectionError):
        _send(client, line, 100 * HEAD_BYTES // 1000)


def test_a_body_in_many_pieces_may_be_longer_than_a_head(client: socket.socket) -> None:
    client.sendall(_CHUNKED.replace(b"/nowhere", b"/predict"))
    _send(client, b"3e8\r\n" + b"a" * 1000 + b"\r\n", 4 * HEAD_BYTES // 1000)
    client.sendall(b"0\r\na: b\r\n\r\n")
    assert client.recv(65_536).split()[1] in {b"415", b"503"}  # Read, and looked at; there is no model.


def test_a_request_that_was_answered_has_to_end(serving: LiveServing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedHttpProtocol, "seconds", 1.0)
    with socket.create_connection(("127.0.0.1", serving.port), timeout=60) as client:
        client.sendall(_CHUNKED)
        assert client.recv(65_536).startswith(b"HTTP/1.1 404")
        with pytest.raises(ConnectionError):
            _send(client, b"1\r\na\r\n", 600, pause=0.05)


def test_a_client_that_half_closes_is_taken_for_gone(
    client: socket.socket, serving: LiveServing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Uvicorn's own behaviour, which docs/serving.md names: a closed connection looks the same."""
    began, release = threading.Event(), threading.Event()

    def slow(*_: object) -> object:
        began.set()
        release.wait(60)
        raise ImageError("nobody waits")

    serving.mlflow.register(build_package(tmp_path / "package"), aliases=["champion"])
    serving.wait_until_ready()
    monkeypatch.setattr("handful_serving.domain.predictor.decode_reduced", slow)
    client.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n\xff\xd8")
    assert began.wait(60)
    client.shutdown(socket.SHUT_WR)
    assert _rest(client) == b""
    release.set()
