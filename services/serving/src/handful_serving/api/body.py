"""The body of a request, bounded in bytes and time while it is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Self

from starlette.requests import Request

from handful_serving.api.content_encoding import Unpacker, unpacker
from handful_serving.errors import BodyTooLargeError, OverloadedError, SlowBodyError, UnsupportedEncodingError

_RETRY_SECONDS = 1


class BodyBudget:
    """Limits the bytes of all bodies in memory.

    Args:
        body_bytes: bytes of one body.
        pending_bytes: bytes of all.
        seconds: how long a client may take to send one.
    """

    def __init__(self, body_bytes: int, pending_bytes: int, seconds: float) -> None:
        self._body_bytes = body_bytes
        self._pending_bytes = pending_bytes
        self._used = 0
        self.seconds = seconds

    def body(self, request: Request, limit: int | None = None) -> RequestBody:
        """A request's body. Its bytes count until the end of the `with` block that it is used in."""
        return RequestBody(self, request, min(limit or self._body_bytes, self._body_bytes))

    def reserve(self, amount: int) -> None:
        """Count bytes that came.

        Raises:
            OverloadedError: there is no room for them.
        """
        if self._used + amount > self._pending_bytes:
            raise OverloadedError("too many images are on their way", "pending_bytes", _RETRY_SECONDS)
        self._used += amount

    def release(self, amount: int) -> None:
        """Count bytes that are not in memory any more."""
        self._used -= amount


class RequestBody:
    """The body of one request."""

    def __init__(self, budget: BodyBudget, request: Request, limit: int) -> None:
        self._budget = budget
        self._request = request
        self._limit = limit
        self._size = 0

    def __enter__(self) -> Self:
        """Begin to count its bytes."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give its bytes back to the budget."""
        self._budget.release(self._size)

    async def read(self) -> bytes:
        """All of it, unpacked.

        Raises:
            BodyTooLargeError: it is more than the limit. If the client says how much it sends, nothing is read.
            UnsupportedEncodingError: its Content-Encoding is not known here.
            BadRequestError: it is not packed as its Content-Encoding says.
            SlowBodyError: it took too long.
        """
        headers = self._request.headers
        announced = headers.get("content-length", "")
        if announced.isdigit() and int(announced) > self._limit:
            raise self._too_large()
        if not announced and (transfer := headers.get("transfer-encoding", "chunked").strip().lower()) != "chunked":
            raise UnsupportedEncodingError(
                f"the body's Transfer-Encoding is {transfer[:60]}", "send it chunked, and packed by Content-Encoding"
            )
        packed = unpacker(encoding) if (encoding := headers.get("content-encoding")) else None
        pieces = []
        try:
            async with asyncio.timeout(self._budget.seconds):
                async for piece in self._unpacked(packed) if packed else self._request.stream():
                    self._count(len(piece))
                    pieces.append(piece)
        except TimeoutError as error:
            raise SlowBodyError(
                f"the body was not there within {self._budget.seconds:g} s", "send it faster, or send a smaller image"
            ) from error
        return b"".join(pieces)

    async def _unpacked(self, packed: Unpacker) -> AsyncIterator[bytes]:
        """The body's pieces. Packed bytes are dropped at once, but there may be no more of them than of others."""
        received = 0
        async for data in self._request.stream():
            received += len(data)
            if received > self._limit:
                raise self._too_large()
            for piece in packed.unpack(data):
                yield piece
                await asyncio.sleep(0)  # Other requests go on.
        packed.finish()

    def _count(self, amount: int) -> None:
        if self._size + amount > self._limit:
            raise self._too_large()
        self._budget.reserve(amount)
        self._size += amount

    def _too_large(self) -> BodyTooLargeError:
        return BodyTooLargeError(f"the body is larger than {self._limit / 1e6:g} MB", "send a smaller image")
