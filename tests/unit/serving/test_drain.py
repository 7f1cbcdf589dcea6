"""After SIGTERM: requests are still answered for a while, and each connection is closed with its answer."""

from __future__ import annotations

import http.client
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

_SERVER = """
import asyncio, signal, socket, sys, uvicorn
from handful_serving.server.drain import DrainingServer
from handful_core.listening import leave_signals_to_uvicorn

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    await asyncio.sleep(0.02)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})

leave_signals_to_uvicorn()
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=5)
DrainingServer(config, float(sys.argv[1])).run(sockets=[listening])
"""


@contextmanager
def _server(drain_seconds: float) -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, "-c", _SERVER, str(drain_seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def _ask(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    connection.request("GET", "/")
    response = connection.getresponse()
    assert (response.status, response.read()) == (200, b"ok")
    return response


def _connect(port: int) -> closing[http.client.HTTPConnection]:
    return closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30))


def _closes(connection: http.client.HTTPConnection) -> bool:
    return _ask(connection).getheader("connection") == "close"


def test_it_answers_on_and_closes_each_connection() -> None:
    with _server(3600) as (process, port), _connect(port) as kept, _connect(port) as late:
        assert not _closes(kept)
        process.send_signal(signal.SIGTERM)
        # Asked without a pause, as by a client that never waits: http.client connects again where it was closed.
        assert any(_closes(kept) for _ in range(500))
        assert all(_closes(kept) for _ in range(20))
        assert _closes(late)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, "a second signal ends it at once"


def test_it_ends_after_that_time() -> None:
    with _server(1) as (process, port), _connect(port) as kept:
        _ask(kept)
        begin = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert time.monotonic() - begin >= 1


def test_without_a_time_it_ends_at_once() -> None:
    with _server(0) as (process, port), _connect(port) as kept:
        _ask(kept)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
