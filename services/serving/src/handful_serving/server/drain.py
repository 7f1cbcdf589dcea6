"""Between SIGTERM and the end: the server still answers, and each answer closes its connection.

A load balancer, or Kubernetes' network, needs a moment to learn that a server ends, and clients keep connections open
that no load balancer moves. uvicorn by itself would close them at once, perhaps while the next request is on its way.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_CLOSE = (b"connection", b"close")


class DrainingServer(uvicorn.Server):
    """Ends `drain_seconds` after SIGTERM; at once at a second one, or at Ctrl-C.

    Args:
        config: uvicorn's.
        drain_seconds: how long it goes on answering.
    """

    def __init__(self, config: uvicorn.Config, drain_seconds: float) -> None:
        config.app = closing_connections(config.app, lambda: self._until is not None)  # type: ignore[arg-type]
        super().__init__(config)
        self._drain_seconds = drain_seconds
        self._until: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal came. uvicorn raises those again that it knows of, when it has ended."""
        if sig == signal.SIGTERM and self._drain_seconds and self._until is None:
            self._until = time.monotonic() + self._drain_seconds
        else:
            super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: whether it is time to end."""
        drained = self._until is not None and time.monotonic() >= self._until
        return await super().on_tick(counter) or drained


def closing_connections(app: ASGIApp, ends: Callable[[], bool]) -> ASGIApp:
    """The application, whose answers close their connections while `ends` says so."""

    async def closing(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_closing(message: Message) -> None:
            if message["type"] == "http.response.start" and ends():
                message = {**message, "headers": [*message.get("headers", ()), _CLOSE]}
            await send(message)

        await app(scope, receive, send_closing if scope["type"] == "http" else send)

    return closing
