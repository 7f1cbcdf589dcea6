"""Blocking calls beside the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from typing import Any, Generic, TypeVar

_Result = TypeVar("_Result")
_Name = TypeVar("_Name", bound=Hashable)


async def in_thread(function: Callable[..., _Result], *args: Any) -> _Result:
    """Run a blocking call in a daemon thread of its own.

    Meant for the few calls of the registry, the cache and model loading: a thread of a pool would hold up the end of
    the process for as long as a hanging server lets it wait.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_Result] = loop.create_future()

    def settle(setter: Callable[[Any], None], value: Any) -> None:
        if not future.done():  # Whoever waited may have gone.
            setter(value)

    def run() -> None:
        try:
            outcome = (future.set_result, function(*args))
        except BaseException as error:  # It is raised again, where the call is awaited.
            outcome = (future.set_exception, error)  # type: ignore[assignment]
        with suppress(RuntimeError):  # The loop was closed meanwhile: nobody waits.
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=run, name=f"handful-{getattr(function, '__name__', 'call')}", daemon=True).start()
    return await future


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

    def cancel(self) -> None:
        """Give up all that runs."""
        for task in self._running.values():
            task.cancel()

    def _forget(self, name: _Name, task: asyncio.Task[_Result]) -> None:
        self._running.pop(name, None)
        if not task.cancelled():
            task.exception()  # Looked at, even if everybody who waited has gone.
