"""Blocking calls beside the event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar

_Result = TypeVar("_Result")
_Name = TypeVar("_Name", bound=Hashable)
THREAD_PREFIX = "handful-predict"
"""How the names of the threads that compute begin."""


async def in_thread(function: Callable[..., _Result], *args: Any) -> _Result:
    """Run a blocking call in a daemon thread of its own.

    It is for the few calls of the registry, the cache and model loading. The interpreter joins a pool's threads before
    it exits, so a server that hangs would hold up the end of the process. It does not join daemon threads.
    """
    future: Future[_Result] = Future()
    # From here on the future cannot be cancelled: a caller that gives up does not make `set_result` below fail.
    future.set_running_or_notify_cancel()
    name = f"handful-{getattr(function, '__name__', 'call')}"
    threading.Thread(target=_settle, args=(future, partial(function, *args)), name=name, daemon=True).start()
    return await asyncio.wrap_future(future)


def _settle(future: Future[_Result], call: Callable[[], _Result]) -> None:
    try:
        result = call()
    except BaseException as error:  # It is raised again, where the future is awaited.
        future.set_exception(error)
    else:
        future.set_result(result)


class WorkerPool:
    """A few threads that compute.

    Args:
        size: how many.
    """

    def __init__(self, size: int) -> None:
        self._executor = ThreadPoolExecutor(size, thread_name_prefix=THREAD_PREFIX)
        self._running: set[Future[Any]] = set()

    def run(self, work: Callable[[], _Result], done: Callable[[], object]) -> asyncio.Future[_Result]:
        """Do some work as soon as a thread is free.

        Args:
            work: what a thread does.
            done: called on the event loop when the work has ended, even if its caller has given up by then.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_Result] = loop.create_future()

        def settle(ended: Future[_Result]) -> None:
            done()
            if future.done():  # The caller has given up, which cancelled its future. The thread worked on.
                return
            if (error := ended.exception()) is not None:
                future.set_exception(error)
            else:
                future.set_result(ended.result())

        def hand_over(ended: Future[_Result]) -> None:
            """Runs in the worker thread: only the event loop may touch its futures, slots and leases."""
            with suppress(RuntimeError):  # The loop is closed: nobody waits.
                loop.call_soon_threadsafe(settle, ended)

        # `loop.run_in_executor` does nearly this. But a caller that gives up would cancel what has not begun yet, and
        # `done` would run while the thread still works. Behind a shield it is right, and slower.
        submitted = self._executor.submit(work)
        self._running.add(submitted)
        submitted.add_done_callback(self._running.discard)
        submitted.add_done_callback(hand_over)
        return future

    def close(self, seconds: float = 30) -> None:
        """Finish what was begun, then end the threads. Work that takes longer than this is left: see `hung_threads`."""
        self._executor.shutdown(wait=False)
        wait(list(self._running), timeout=seconds)


def hung_threads(seconds: float = 1.0) -> list[threading.Thread]:
    """Threads of closed worker pools that are still at work. The interpreter would wait for them at its end.

    Args:
        seconds: how long idle threads get to notice that their pool was closed.
    """
    threads = [thread for thread in threading.enumerate() if thread.name.startswith(THREAD_PREFIX)]
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [thread for thread in threads if thread.is_alive()]


class SingleFlight(Generic[_Name, _Result]):
    """Concurrent callers of the same name share one piece of work."""

    def __init__(self) -> None:
        self._running: dict[_Name, asyncio.Task[_Result]] = {}

    async def do(self, name: _Name, work: Callable[[], Awaitable[_Result]]) -> _Result:
        """The result of `work`, or of the work of this name that already runs. Giving up does not cancel it."""
        task = self._running.get(name)
        if task is None:
            task = asyncio.ensure_future(work())
            self._running[name] = task
            task.add_done_callback(lambda done: self._forget(name, done))
        # Without the shield, the first caller that is cancelled would cancel the work of all the others.
        return await asyncio.shield(task)

    def __contains__(self, name: _Name) -> bool:
        return name in self._running

    def __len__(self) -> int:
        return len(self._running)

    def cancel(self) -> None:
        """Cancel all work."""
        for task in self._running.values():
            task.cancel()

    def _forget(self, name: _Name, task: asyncio.Task[_Result]) -> None:
        self._running.pop(name, None)
        if not task.cancelled():
            task.exception()  # Mark it as retrieved, even if every caller has given up.
