"""HTTP with bounds for the head of a request, its line and its headers: uvicorn has none of its own.

Without them, whoever reaches the port could fill the memory with headers, or keep connections open with half a line.
What is behind the head is bounded by `Intake`; but what is behind the body or between its chunks is bounded here.
"""

from __future__ import annotations

import asyncio
import json
import logging
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from handful_serving.api.errors import PROBLEM_JSON, make_problem

HEAD_BYTES = 65_536
HEAD_SECONDS = 30.0
_log = logging.getLogger(__name__)


class BoundedHttpProtocol(HttpToolsProtocol):
    """A connection whose requests begin with at most `HEAD_BYTES`, within `HEAD_SECONDS`."""

    seconds = HEAD_SECONDS
    _taken = 0
    """Bytes since the head began, or since the last piece of a body."""
    _in_message = _in_head = _had_body = False
    _ends: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # As uvicorn has it.
        """Whoever connects is to ask for something."""
        super().connection_made(transport)
        self._arm()

    def data_received(self, data: bytes) -> None:
        """Count what belongs to no body."""
        self._had_body = False
        super().data_received(data)
        if self._in_head:
            self._arm()
        if self._in_message and not self._had_body:
            self._taken += len(data)
            if self._taken > HEAD_BYTES:
                words = f"its {'line and headers' if self._in_head else 'trailers'} are more than {HEAD_BYTES} bytes"
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "head-too-large", words)

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._in_message = self._in_head = True
        self._taken = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which nobody asks for."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._in_head, self._taken = False, 0
        self._disarm()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        self._had_body, self._taken = True, 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The body is whole, and what is behind it."""
        self._in_message = False
        self._disarm()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Whoever was answered before all of the request came is to end it soon."""
        if self._in_message and self.cycle.response_complete and not self.pipeline:
            self._arm()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._disarm()
        super().connection_lost(exc)

    def _arm(self) -> None:
        if self._ends is None:
            self._ends = self.loop.call_later(self.seconds, self._too_slow)

    def _disarm(self) -> None:
        if self._ends is not None:
            self._ends.cancel()
            self._ends = None

    def _too_slow(self) -> None:
        if self._in_head:
            words = f"its line and headers were not there within {self.seconds:g} s"
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "head-too-slow", words)
        else:
            self.transport.close()  # Nothing was asked, or what was answered long ago does not end.

    def _refuse(self, status: HTTPStatus, name: str, words: str) -> None:
        if self.transport.is_closing():
            return
        _log.warning("a request was refused: %s", words)
        if not self._in_head:  # It may have been answered.
            self.transport.close()
            return
        problem = make_problem(status, name, status.phrase, f"the request cannot be read: {words}", "", "")
        content = json.dumps(problem.model_dump()).encode()
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {PROBLEM_JSON}\r\nConnection: close\r\n"
        self.transport.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        self.transport.close()


END_SECONDS = 10.0


class BoundedWebSocketProtocol(WebSocketsSansIOProtocol):
    """A connection that is broken off `END_SECONDS` after nobody answers it any more."""

    seconds = END_SECONDS

    async def run_asgi(self) -> None:
        """Serve it, then give the client a while to take the rest."""
        try:
            await super().run_asgi()
        finally:
            self.loop.call_later(self.seconds, self.transport.abort)
