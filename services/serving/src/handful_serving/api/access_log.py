"""One log line and one count for each request."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = logging.getLogger("handful_serving.access")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OTHER = "other"

OnResponse = Callable[[str, str, int, float], None]
"""Takes method, route, status and seconds of a request."""


class AccessLog:
    """Middleware that logs and counts each request when it is answered.

    Args:
        app: the application.
        on_response: is called when a request was answered.
        prefix: the second address of all routes, which is counted as the first.
    """

    def __init__(self, app: ASGIApp, on_response: OnResponse, prefix: str) -> None:
        self._app = app
        self._on_response = on_response
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, then log it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500  # What the server sends if the application fails before it sends anything.

        async def remember_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, remember_status)
        finally:
            seconds = time.perf_counter() - started
            method = scope["method"] if scope["method"] in _METHODS else _OTHER
            self._on_response(method, self._route(scope), status, seconds)
            level = logging.DEBUG if scope["path"].removeprefix(self._prefix).startswith("/health/") else logging.INFO
            if _log.isEnabledFor(level):
                _log_request(level, scope, status, seconds * 1e3)

    def _route(self, scope: Scope) -> str:
        """The route's template. Clients choose paths freely, so paths as labels would grow the metrics without end."""
        template = getattr(scope.get("route"), "path", None) or _OTHER
        return str(template).removeprefix(self._prefix)


def _log_request(level: int, scope: Scope, status: int, milliseconds: float) -> None:
    path = quote(scope["path"])  # A line break in it would make a line of its own.
    extra = {"status": status, "ms": round(milliseconds, 1)}
    _log.log(level, "%s %s %d in %.1f ms", scope["method"], path, status, milliseconds, extra=extra)
