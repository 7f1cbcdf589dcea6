"""Blocking calls beside the event loop."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar

_END_SECONDS = 30.0
_Result = TypeVar("_Result")
_Name = TypeVar("_Name", bound=Hashable)


async def in_thread(function: Callable[..., _Result], *args: Any) -> _Result:
    """Run a blocking call in a daemon thread of its own.

    Meant for the few calls of the registry, the cache and model loading: a thread of a pool would hold up the end of
    the process for as long as a hanging server lets it wait.
    """
    call = _Call(partial(function, *args), _nothing)
    threading.Thread(target=call.run, name=f"handful-{getattr(function, '__name__', 'call')}", daemon=True).start()
    return await call.future


class WorkerPool:
    """A few threads that compute.

    Less between the event loop and a thread than a ThreadPoolExecutor has, whose two kinds of futures take a tenth of a
    millisecond of every image's time.

    Args:
        number: how many.
    """

    def __init__(self, number: int) -> None:
        self._calls: queue.SimpleQueue[_Call[Any] | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"handful-predict_{index}", daemon=True) for index in range(number)
        ]
        for thread in self._threads:
            thread.start()

    def run(self, work: Callable[[], _Result], done: Callable[[], object]) -> asyncio.Future[_Result]:
        """Do some work as soon as a thread is free.

        Args:
            work: what a thread does.
            done: called on the event loop when the work has ended, even if nobody waits for it any more.
        """
        call = _Call(work, done)
        self._calls.put(call)
        return call.future

    def close(self) -> None:
        """Finish what was begun, then end the threads. One that does not end is left: it ends with the process."""
        for _ in self._threads:
            self._calls.put(None)
        until = time.monotonic() + _END_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        while call := self._calls.get():
            call.run()
            del call  # With it go pictures, which else would stay until the next.


class _Call(Generic[_Result]):
    """Work for a thread, and the future that its result comes to.

    Args:
        work: the work.
        done: called on the event loop, before the future is settled.
    """

    def __init__(self, work: Callable[[], _Result], done: Callable[[], object]) -> None:
        self._work = work
        self._done = done
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[_Result] = self._loop.create_future()

    def run(self) -> None:
        """Do it, in the thread that calls."""
        try:
            outcome = (self.future.set_result, self._work())
        except BaseException as error:  # It is raised again, where the future is awaited.
            outcome = (self.future.set_exception, error)  # type: ignore[assignment]
        with suppress(RuntimeError):  # The loop was closed meanwhile: nobody waits.
            self._loop.call_soon_threadsafe(self._settle, *outcome)

    def _settle(self, setter: Callable[[Any], None], value: Any) -> None:
        self._done()
        if not self.future.done():  # Whoever waited may have gone.
            setter(value)


def _nothing() -> None:
    """Nobody wants to hear of it."""


class SingleFlight(Generic[_Name, _Result]):
    """Lets all who want the same thing at the same time wait for one piece of work."""

    def __init__(self) -> None:
        self._running: dict[_Name, asyncio.Task[_Result]] = {}

    async def do(self, name: _Name, work: Callable[[], Awaitable[_Result]]) -> _Result:
        """The result of `work`, or of the work of this name that already runs. One who gives up ends it for nobody."""
        task = self._running.get(name)
        if task is None:
            task = asyncio.ensure_future(work())
            self._running[name] = task
            task.add_done_callback(lambda done: self._forget(name, done))
        return await asyncio.shield(task)

    def __contains__(self, name: _Name) -> bool:
        return name in self._running

    def __len__(self) -> int:
        return len(self._running)

    def cancel(self) -> None:
        """Give up all that runs."""
        for task in self._running.values():
            task.cancel()

    def _forget(self, name: _Name, task: asyncio.Task[_Result]) -> None:
        self._running.pop(name, None)
        if not task.cancelled():
            task.exception()  # Looked at, even if everybody who waited has gone.
