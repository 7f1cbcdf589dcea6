"""Bodies that are being read or wait: bounded in bytes and in time."""

from __future__ import annotations

import asyncio
from typing import Self

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
        self._limit = body_bytes
        self._pending = pending_bytes
        self._held = 0
        self.seconds = seconds

    def body(self, request: Request, limit: int | None = None) -> Body:
        """A request's body; its bytes count until the end of the `with` block that it is used in."""
        return Body(self, request, min(limit or self._limit, self._limit))

    def take(self, amount: int) -> None:
        """Count bytes that came.

        Raises:
            OverloadedError: there is no room for them.
        """
        if self._held + amount > self._pending:
            raise OverloadedError("too many images are on their way", "pending_bytes", _RETRY)
        self._held += amount

    def give_back(self, amount: int) -> None:
        """Count bytes that went."""
        self._held -= amount


class Body:
    """The body of one request."""

    def __init__(self, intake: Intake, request: Request, limit: int) -> None:
        self._intake = intake
        self._request = request
        self._limit = limit
        self._held = 0

    def __enter__(self) -> Self:
        """Begin to count its bytes."""
        return self

    def __exit__(self, *_: object) -> None:
        """It is not needed any more."""
        self._intake.give_back(self._held)

    async def read(self) -> bytes:
        """All of it.

        Raises:
            BodyTooLargeError: it is more than the limit; told before reading if the client says how much it sends.
            SlowBodyError: it took too long.
        """
        announced = self._request.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > self._limit:
            raise self._too_large()
        pieces = []
        try:
            async with asyncio.timeout(self._intake.seconds):
                async for piece in self._request.stream():
                    self._count(len(piece))
                    pieces.append(piece)
        except TimeoutError as error:
            raise SlowBodyError(
                f"the body was not there within {self._intake.seconds:g} s", "send it faster, or send a smaller image"
            ) from error
        return b"".join(pieces)

    def _count(self, amount: int) -> None:
        if self._held + amount > self._limit:
            raise self._too_large()
        self._intake.take(amount)
        self._held += amount

    def _too_large(self) -> BodyTooLargeError:
        return BodyTooLargeError(f"the body is larger than {self._limit / 1e6:g} MB", "send a smaller image")
