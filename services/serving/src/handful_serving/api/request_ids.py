"""X-Request-ID: taken from the client if it is valid, else made; in the answer, in problems and in the log."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-Request-ID"
_ON_THE_WIRE = HEADER.lower().encode()

_VALID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
_SCOPE_KEY = "handful.request_id"
_current: ContextVar[str] = ContextVar("request_id", default="")


class RequestIds:
    """Middleware that gives each request its id."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer under an id."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = next((value for name, value in scope["headers"] if name == _ON_THE_WIRE), b"").decode("latin-1")
        request_id = sent if _VALID.fullmatch(sent) else secrets.token_hex(16)
        scope[_SCOPE_KEY] = request_id

        async def with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                others = (pair for pair in message.get("headers", ()) if pair[0] != _ON_THE_WIRE)
                message["headers"] = [*others, (_ON_THE_WIRE, request_id.encode())]
            await send(message)

        # A context variable follows the task of this request: what it logs has this id, and no other request's.
        with current_request_id(request_id):
            await self._app(scope, receive, with_id)


def request_id_of(scope: Scope) -> str:
    """The id of a request."""
    return str(scope.get(_SCOPE_KEY, ""))


@contextmanager
def current_request_id(request_id: str) -> Iterator[None]:
    """What is logged within the block has this id."""
    token = _current.set(request_id)
    try:
        yield
    finally:
        _current.reset(token)


class RequestIdFilter(logging.Filter):
    """Adds the id of the request that is being answered to what is logged meanwhile."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every record."""
        if (request_id := _current.get()) and not hasattr(record, "request_id"):
            record.request_id = request_id
        return True
