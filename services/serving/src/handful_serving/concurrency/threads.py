"""Blocking calls beside the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Generic, TypeVar

_Result = TypeVar("_Result")
_Name = TypeVar("_Name", bound=Hashable)


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
        self._executor = ThreadPoolExecutor(size, thread_name_prefix="handful-predict")

    def run(self, work: Callable[[], _Result], done: Callable[[], object]) -> asyncio.Future[_Result]:
        """Do some work as soon as a thread is free.

        Args:
            work: what a thread does.
            done: called on the event loop when the work has ended, even if its caller has given up by then.
        """
        future = asyncio.get_running_loop().run_in_executor(self._executor, work)

        def finish(ended: asyncio.Future[_Result]) -> None:
            done()
            if not ended.cancelled():
                ended.exception()  # Mark it as retrieved: if the caller has given up, asyncio would log it as lost.

        # Callbacks run in the order in which they were added: `done` comes before whoever awaits the result goes on.
        future.add_done_callback(finish)
        # Cancelling the outer future leaves the inner one alone: the thread cannot be stopped, and `done` must wait
        # until it is finished.
        return asyncio.shield(future)

    def close(self) -> None:
        """Finish what was begun, then end the threads."""
        self._executor.shutdown()


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
