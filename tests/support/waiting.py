"""Waiting for something that another process, thread or page will do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


def until(
    holds: Callable[[], object],
    what: str,
    seconds: float = 120,
    pause: float = 0.05,
    sleep: Callable[[float], object] = time.sleep,
) -> float:
    """Wait until it holds; how many seconds that took.

    Args:
        holds: asked again and again.
        what: is told if it never holds.
        seconds: how long it may take.
        pause: seconds between two questions.
        sleep: waits so many seconds. A page has its own, in which it goes on.

    Raises:
        AssertionError: it did not hold in time.
    """
    begin = time.monotonic()
    while not holds():
        assert time.monotonic() - begin < seconds, f"{what}: not within {seconds:.0f} s"
        sleep(pause)
    return time.monotonic() - begin


async def until_async(holds: Callable[[], object]) -> None:
    """Wait until it holds, while the event loop goes on.

    Raises:
        TimeoutError: it did not hold in half a minute.
    """
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.01)
