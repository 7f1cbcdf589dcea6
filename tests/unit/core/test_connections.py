"""A request never goes into a connection that the server is about to close."""

from __future__ import annotations

import ast
import socketserver
import threading
import time
from pathlib import Path

import pytest

from handful_core.connections import SHORT_LIVED
from handful_serving.adapters.monitor import Monitor

pytestmark = pytest.mark.anyio
_SERVICES = Path(__file__).parents[3] / "services"


def test_every_client_gives_idle_connections_up_first() -> None:
    clients, limited = [], []
    for path in sorted(_SERVICES.glob("*/src/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"httpx.Client", "httpx.AsyncClient"}:
                words = {word.arg: ast.unparse(word.value) for word in node.keywords}
                clients.append(path.name)
                limited += [path.name] if words.get("limits") == "SHORT_LIVED" else []
    assert clients == limited
    assert len(clients) >= 4


class _OneAnswer(socketserver.StreamRequestHandler):
    """Answers the first request of a connection. The next one finds it closed, as one finds it by bad luck."""

    def handle(self) -> None:
        for number in range(2):
            if not self.rfile.readline():
                return
            while self.rfile.readline().strip():
                pass
            if number == 0:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok")


async def test_a_server_that_closes_idle_connections_is_not_away() -> None:
    expiry = SHORT_LIVED.keepalive_expiry
    assert expiry is not None
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _OneAnswer) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monitor = Monitor(f"http://127.0.0.1:{server.server_address[1]}")
        first = await monitor.get("health", "")
        time.sleep(expiry + 0.2)
        second = await monitor.get("health", "")
        await monitor.close()
        server.shutdown()
    assert first is not None
    assert second == first
