"""Admission control: which images are worked on now, which wait, and which are refused.

All of this runs on the event loop, so it needs no lock.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable

from handful_serving.errors import OverloadedError

_SMOOTHING = 0.1
"""Weight of the newest image in the moving average of how long one takes."""
_FULL, _LATE = "queue_full", "deadline"


class AdmissionQueue:
    """Slots for images: so many are worked on at once, so many may wait, none longer than its deadline.

    An image that would miss its deadline is refused at once. Otherwise the queue would fill with work whose clients
    have given up.

    Args:
        slots: images that are worked on at once.
        max_waiting: images that may wait.
        deadline: seconds that an image may take, with its wait.
        clock: monotonic seconds.
    """

    def __init__(
        self, slots: int, max_waiting: int, deadline: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._slots = slots
        self._max_waiting = max_waiting
        self.deadline = deadline
        """Seconds that an image may take, with its wait."""
        self._clock = clock
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._mean_seconds = 0.0
        self.busy = 0
        """Images that are worked on."""

    @property
    def waiting(self) -> int:
        """Images that wait."""
        return len(self._waiters)

    @property
    def capacity(self) -> int:
        """Images that may wait."""
        return self._max_waiting

    @property
    def has_free_slot(self) -> bool:
        """An image could begin at once."""
        return self.busy < self._slots

    @property
    def is_full(self) -> bool:
        """The next image is refused."""
        return not self.has_free_slot and len(self._waiters) >= self._max_waiting

    async def acquire(self, deadline: float | None = None) -> Slot:
        """Wait for a slot, first come, first served. A caller that is cancelled leaves the queue at once.

        Args:
            deadline: seconds, instead of the queue's own deadline.

        Raises:
            OverloadedError: the queue is full, or the deadline cannot be met.
        """
        limit = self.deadline if deadline is None else deadline
        if self.has_free_slot:
            self.busy += 1
            return Slot(self, self._clock())
        if len(self._waiters) >= self._max_waiting:
            raise self._overloaded(_FULL, "the queue is full")
        if self._expected_seconds(len(self._waiters) + 1) > limit:
            raise self._overloaded(_LATE, f"the image would not be answered within {limit:g} s")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(turn)
        try:
            # The image itself takes time too: waiting any longer than this could not end in time.
            async with asyncio.timeout(max(0.0, limit - self._mean_seconds)):
                await turn
        except TimeoutError:
            self._give_up(turn)
            raise self._overloaded(_LATE, f"no place came free within {limit:g} s") from None
        except asyncio.CancelledError:
            self._give_up(turn)
            raise
        # The slot came from the image before, which left `busy` as it was: see `_hand_over`.
        return Slot(self, self._clock())

    def release(self, acquired_at: float) -> None:
        """Take a slot back, and learn how long an image takes."""
        seconds = max(0.0, self._clock() - acquired_at)
        self._mean_seconds += (seconds - self._mean_seconds) * (_SMOOTHING if self._mean_seconds else 1)
        self._hand_over()

    def _hand_over(self) -> None:
        """Give the slot to the first that waits. `busy` goes down only if nobody does."""
        while self._waiters:
            turn = self._waiters.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.busy -= 1

    def _give_up(self, turn: asyncio.Future[None]) -> None:
        if turn in self._waiters:
            self._waiters.remove(turn)
        elif turn.done() and not turn.cancelled():
            # The slot was handed over in the same turn of the event loop in which the caller was cancelled. Nobody
            # else would ever release it.
            self._hand_over()

    def _expected_seconds(self, ahead: int) -> float:
        """Seconds until an image behind so many others is answered."""
        return self._mean_seconds * (ahead / self._slots + 1)

    def _overloaded(self, reason: str, words: str) -> OverloadedError:
        return OverloadedError(words, reason, max(1, math.ceil(self._expected_seconds(len(self._waiters)))))


class Slot:
    """The right to work on one image."""

    def __init__(self, queue: AdmissionQueue, acquired_at: float) -> None:
        self._queue: AdmissionQueue | None = queue
        self._acquired_at = acquired_at

    def release(self) -> None:
        """Give it back. Calling this again does nothing."""
        queue, self._queue = self._queue, None
        if queue is not None:
            queue.release(self._acquired_at)
