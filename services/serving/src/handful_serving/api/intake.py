"""Bodies that are being read or wait: bounded in bytes and in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from handful_serving.domain.errors import BodyTooLargeError, OverloadedError, SlowBodyError

_RETRY = 1


class Intake:
    """Counts the bytes of all bodies in memory.

    Args:
        body_bytes: bytes of one body.
        pending_bytes: bytes of all.
        seconds: how long a client may take to send one.
    """

    def __init__(self, body_bytes: int, pending_bytes: int, seconds: float) -> None:
        self.body_bytes = body_bytes
        self._pending = pending_bytes
        self._seconds = seconds
        self._held = 0

    @asynccontextmanager
    async def body(self, request: Request, limit: int | None = None) -> AsyncIterator[Body]:
        """A request's body; its bytes count until the end of the block."""
        body = Body(self, request, min(limit or self.body_bytes, self.body_bytes))
        try:
            yield body
        finally:
            self._held -= body.held

    def take(self, amount: int) -> None:
        """Count bytes that came.

        Raises:
            OverloadedError: there is no room for them.
        """
        if self._held + amount > self._pending:
            raise OverloadedError("too many images are on their way", "pending_bytes", _RETRY)
        self._held += amount

    @asynccontextmanager
    async def in_time(self) -> AsyncIterator[None]:
        """Whatever reads a body does so in here.

        Raises:
            SlowBodyError: it took too long.
        """
        try:
            async with asyncio.timeout(self._seconds):
                yield
        except TimeoutError as error:
            raise SlowBodyError(
                f"the body was not there within {self._seconds:g} s", "send it faster, or send a smaller image"
            ) from error


class Body:
    """The body of one request."""

    def __init__(self, intake: Intake, request: Request, limit: int) -> None:
        self._intake = intake
        self._request = request
        self.in_time = intake.in_time
        self.limit = limit
        self.held = 0

    async def read(self) -> bytes:
        """All of it.

        Raises:
            BodyTooLargeError: it is more than the limit; told before reading if the client says how much it sends.
            SlowBodyError: it took too long.
        """
        async with self.in_time():
            return b"".join([chunk async for chunk in self.stream()])

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """Its pieces; to be read `in_time`."""
        announced = self._request.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > self.limit:
            raise self._too_large()
        async for chunk in self._request.stream():
            if self.held + len(chunk) > self.limit:
                raise self._too_large()
            self._intake.take(len(chunk))
            self.held += len(chunk)
            yield chunk

    def _too_large(self) -> BodyTooLargeError:
        return BodyTooLargeError(f"the body is larger than {self.limit / 1e6:g} MB", "send a smaller image")
