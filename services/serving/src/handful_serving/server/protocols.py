"""uvicorn's protocols with the bounds that it has not by itself: see docs/adr/0013.

Without them, whoever reaches the port can fill the memory with headers, or keep connections open with half a line.
Bodies are bounded by `BodyBudget`. What comes between the chunks of a body or behind it is bounded here.

Both classes override methods that uvicorn does not document, so its minor version is pinned.
"""

from __future__ import annotations

import asyncio
import enum
import json
import logging
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from handful_serving.api.errors import PROBLEM_JSON, make_problem

HEAD_BYTES = 65_536
HEAD_SECONDS = 30.0
LINGER_SECONDS = 2.0
"""After a refusal the client gets so long to notice it. What it still sends is thrown away: a connection that is closed
while data comes is reset, and the client may never see the answer."""
CLOSE_SECONDS = 10.0
_log = logging.getLogger(__name__)


class _Reading(enum.Enum):
    """What a connection is in the middle of."""

    NOTHING = enum.auto()
    HEAD = enum.auto()
    """The request line and the headers."""
    BODY = enum.auto()
    """Everything after them: chunk sizes and trailers too."""


class BoundedHttpProtocol(HttpToolsProtocol):
    """A connection whose requests begin with at most `HEAD_BYTES`, within `HEAD_SECONDS`.

    The parser calls the `on_…` methods in the middle of `data_received`, before it returns.
    """

    seconds = HEAD_SECONDS
    _reading = _Reading.NOTHING
    _had_body = False
    """The data that is being parsed has a piece of a body in it."""
    _overhead = 0
    """Bytes that are no body, since the head began or since the last piece of a body."""
    _head = 0
    """Bytes of the request line and headers that were parsed."""
    _timer: asyncio.TimerHandle | None = None
    _refused = False
    """What comes now is thrown away."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # As uvicorn has it.
        """A client that connects has to send a request in time."""
        super().connection_made(transport)
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        """Parse data, then count what of it is no body."""
        if self._refused:
            return
        self._had_body = False
        super().data_received(data)
        if self._reading is _Reading.HEAD:
            self._start_timer()  # For the requests after the first one. A timer that runs goes on: see `_start_timer`.
        if self._reading is not _Reading.NOTHING and not self._had_body:
            self._overhead += len(data)
            if self._overhead > HEAD_BYTES:
                self._refuse_head("line and headers" if self._reading is _Reading.HEAD else "trailers")

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP: uvicorn would say so in plain text."""
        del msg
        self._refuse(HTTPStatus.BAD_REQUEST, "malformed-request", "it is not valid HTTP/1.1")

    def handle_websocket_upgrade(self) -> None:
        """Hand over to the WebSocket protocol."""
        if not self._refused:
            super().handle_websocket_upgrade()

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._reading, self._overhead, self._head = _Reading.HEAD, 0, 0

    def on_url(self, url: bytes) -> None:
        """A piece of the address."""
        self._head += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header. The parser also reports trailers here, which uvicorn would append to the headers for ever."""
        if self._reading is _Reading.HEAD:
            self._head += len(name) + len(value) + 4  # Colon, space and line break.
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is complete. All of it may have come at once, and nobody has counted it before."""
        if self._head > HEAD_BYTES:
            self._refuse_head("line and headers")
        if self._refused:
            return
        self._reading, self._overhead = _Reading.BODY, 0
        self._stop_timer()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body. `BodyBudget` counts it when the application reads it."""
        self._had_body, self._overhead = True, 0
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The body and its trailers are complete."""
        if self._refused:
            return
        self._reading = _Reading.NOTHING
        self._stop_timer()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The application has answered.

        A request that was answered before all of it came (as 404, say) is read by nobody any more. It has to end soon,
        unless another one is already being answered.
        """
        if self._reading is _Reading.BODY and self.cycle.response_complete and not self.pipeline:
            self._start_timer()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """The timer must not outlive the connection."""
        self._stop_timer()
        super().connection_lost(exc)

    def _start_timer(self) -> None:
        """Start it if it does not run: a client that sends a byte now and then gains no time."""
        if self._timer is None and not self._refused:
            self._timer = self.loop.call_later(self.seconds, self._time_out)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_out(self) -> None:
        if self._reading is _Reading.HEAD:
            reason = f"its line and headers were not there within {self.seconds:g} s"
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "head-too-slow", reason)
        else:
            self.transport.close()  # No request came, or one that was answered does not end.

    def _refuse_head(self, part: str) -> None:
        reason = f"its {part} are more than {HEAD_BYTES} bytes"
        self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "head-too-large", reason)

    def _refuse(self, status: HTTPStatus, name: str, reason: str) -> None:
        if self._refused or self.transport.is_closing():
            return
        _log.warning("a request was refused: %s", reason)
        self._refused = True
        self._stop_timer()
        if not self._may_answer():
            self.transport.close()
            return
        problem = make_problem(status, name, status.phrase, f"the request cannot be read: {reason}", "", "")
        content = json.dumps(problem.model_dump()).encode()
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {PROBLEM_JSON}\r\nConnection: close\r\n"
        self.transport.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        self.transport.write_eof()
        self._timer = self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _may_answer(self) -> bool:
        """Whether the next bytes on the wire are this request's answer: not the rest of another one's, nor a second."""
        if self._reading is _Reading.BODY:
            return self.cycle is not None and not self.pipeline and not self.cycle.response_started
        return self.cycle is None or self.cycle.response_complete


class BoundedWebSocketProtocol(WebSocketsSansIOProtocol):
    """A connection that is aborted `CLOSE_SECONDS` after the application has finished with it.

    uvicorn closes the transport, and that waits until the client has read everything. A client that reads nothing
    would keep its connection, and the end of the server, waiting for ever.
    """

    seconds = CLOSE_SECONDS

    async def run_asgi(self) -> None:
        """Run the application, then give the client a while to read the rest."""
        try:
            await super().run_asgi()
        finally:
            self.loop.call_later(self.seconds, self.transport.abort)
