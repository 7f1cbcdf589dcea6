"""Who may work now, who waits, and who is told to come back later.

All of this runs on the event loop, so nothing needs a lock.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable

from handful_serving.errors import OverloadedError

_WEIGHT = 0.1
"""How much the last image changes the notion of how long one takes."""
_FULL, _LATE = "queue_full", "deadline"


class AdmissionQueue:
    """Places for images: so many are worked on at once, so many may wait, none longer than is useful.

    An image is refused at once if it would not be answered before its deadline, so that a queue never fills with work
    whose clients have given up.

    Args:
        workers: images that are worked on at once.
        waiting: images that may wait.
        seconds: the deadline: how long an image may take, with its wait.
        clock: seconds that never go back.
    """

    def __init__(self, workers: int, waiting: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._workers = workers
        self._limit = waiting
        self.seconds = seconds
        """How long an image may take, with its wait."""
        self._clock = clock
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._mean = 0.0
        self.busy = 0
        """Images that are worked on."""

    @property
    def waiting(self) -> int:
        """Images that wait."""
        return len(self._waiting)

    @property
    def idle(self) -> bool:
        """Somebody could begin at once."""
        return self.busy < self._workers

    @property
    def is_full(self) -> bool:
        """Whoever comes now is sent away."""
        return not self.idle and len(self._waiting) >= self._limit

    async def enter(self, seconds: float | None = None) -> Slot:
        """Wait for a place, in the order of coming. Whoever gives up waiting leaves the queue at once.

        Args:
            seconds: another deadline.

        Raises:
            OverloadedError: the queue is full, or the deadline cannot be kept.
        """
        limit = self.seconds if seconds is None else seconds
        if self.idle:
            self.busy += 1
            return Slot(self, self._clock())
        if len(self._waiting) >= self._limit:
            raise self._overloaded(_FULL, "the queue is full")
        if self._expected(len(self._waiting) + 1) > limit:
            raise self._overloaded(_LATE, f"the image would not be answered within {limit:g} s")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(max(0.0, limit - self._mean)):
                await turn
        except TimeoutError:
            self._give_up(turn)
            raise self._overloaded(_LATE, f"no place came free within {limit:g} s") from None
        except asyncio.CancelledError:
            self._give_up(turn)
            raise
        return Slot(self, self._clock())

    def leave(self, entered: float) -> None:
        """Give a place to the next, and learn how long an image takes."""
        took = max(0.0, self._clock() - entered)
        self._mean += (took - self._mean) * (_WEIGHT if self._mean else 1)
        self._next()

    def _next(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.busy -= 1

    def _give_up(self, turn: asyncio.Future[None]) -> None:
        if turn in self._waiting:
            self._waiting.remove(turn)
        elif turn.done() and not turn.cancelled():  # Its turn had just come: it is the next one's.
            self._next()

    def _expected(self, ahead: int) -> float:
        """Seconds until whoever comes behind so many is answered."""
        return self._mean * (ahead / self._workers + 1)

    def _overloaded(self, reason: str, words: str) -> OverloadedError:
        return OverloadedError(words, reason, max(1, math.ceil(self._expected(len(self._waiting)))))


class Slot:
    """The right to work on one image."""

    def __init__(self, queue: AdmissionQueue, entered: float) -> None:
        self._queue: AdmissionQueue | None = queue
        self._entered = entered

    def leave(self) -> None:
        """Give it back; once is enough."""
        queue, self._queue = self._queue, None
        if queue is not None:
            queue.leave(self._entered)
