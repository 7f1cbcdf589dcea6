"""Processes that work for this one.

Threads wait for each other at the interpreter's lock, many times for every image; where images are many, that costs
more than starting processes. They are started as programs of their own, not by `multiprocessing`: that would run the
caller's script again if it has no `if __name__ == "__main__"`.
"""

from __future__ import annotations

import logging
import os
import pickle
import queue
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from threading import Thread
from typing import Any, NamedTuple, TypeVar

from handful_core.runtime.cpus import available_cpus

_MANY = 1500
"""Images from which on processes are worth their start, a quarter of a second of a processor's time each."""
_MOST = 8
"""Processes. This one, which takes in what they find, needs a tenth of the time that they need for an image."""
_CHUNK = 32
"""Items a task: few enough for a lively progress bar, enough that handing them out costs nothing."""
_AHEAD = 2
"""Tasks that a process has at once: it need not wait until this one finds the time to give it the next."""

_In = TypeVar("_In")
_Out = TypeVar("_Out")
_log = logging.getLogger(__name__)


class _Task(NamedTuple):
    work: Callable[[Sequence[Any]], list[Any]]
    again: Callable[[Sequence[Any]], list[Any]]
    items: Sequence[Any]
    done: Future[list[Any]]


class WorkerPool:
    """Processes, or threads of this one where images are few. They start at once, and work until `close`.

    Args:
        images: about how many there will be.
    """

    def __init__(self, images: int) -> None:
        processors = available_cpus()
        many = processors > 1 and images >= _MANY
        self._processes = [_start() for _ in range(min(processors, _MOST))] if many else []
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._closed = False
        members = self._processes or [None] * processors
        self._threads = [Thread(target=self._serve, args=[member], daemon=True) for member in members]
        for thread in self._threads:
            thread.start()

    def run(
        self,
        work: Callable[[Sequence[_In]], list[_Out]],
        items: Sequence[_In],
        advance: Callable[[int], object] = lambda _: None,
        *,
        again: Callable[[Sequence[_In]], list[_Out]] | None = None,
        chunk: int = _CHUNK,
    ) -> Iterator[_Out]:
        """Begin at once with some work, and give its results in order.

        Args:
            work: takes several items at once. A function of a module, or a `partial` of one: processes know it by name.
            items: what it is done to.
            advance: told how many more are done, by another thread.
            again: the work for items that a process had begun when it ended, if it is another.
            chunk: how many items it takes at once.
        """
        tasks = [_Task(work, again or work, items[at : at + chunk], Future()) for at in range(0, len(items), chunk)]
        for task in tasks:
            task.done.add_done_callback(partial(_tell, advance, len(task.items)))
            self._tasks.put(task)
        return (result for task in tasks for result in task.done.result())

    def close(self) -> None:
        """End them, whatever they do."""
        self._closed = True
        for _ in self._threads:
            self._tasks.put(None)  # Whoever waits for a task.
        for process in filter(None, self._processes):
            process.kill()  # They hold nothing that could be lost.
        for thread in self._threads:
            thread.join()
        for process in filter(None, self._processes):
            process.communicate()

    def _serve(self, process: subprocess.Popen[bytes] | None) -> None:
        """Have a process do tasks. If there is none, or it ends too early, they are done here."""
        waiting: deque[_Task] = deque()
        try:
            while process:
                while _has_room(waiting) and (task := self._next(wait=not waiting)):
                    waiting.append(task)
                    _send(process, task)
                if not waiting:
                    return
                _received(process, waiting[0].done)
                waiting.popleft()
        except (OSError, EOFError, pickle.UnpicklingError):
            if not self._closed:
                _log.warning("a process that inspects images has ended; its work is done by this one")
        for begun in waiting:
            _do_here(begun._replace(work=begun.again))
        while task := self._next(wait=True):
            _do_here(task)

    def _next(self, *, wait: bool) -> _Task | None:
        """A task; None if there is none now, or never will be."""
        try:
            task = self._tasks.get(block=wait)
        except queue.Empty:
            return None
        return None if self._closed else task


def _has_room(waiting: Sequence[_Task]) -> bool:
    """May a process be given one more task? Not behind a large one: it lasts long enough."""
    return not waiting or (len(waiting) < _AHEAD and len(waiting[0].items) <= _CHUNK)


def _tell(advance: Callable[[int], object], number: int, _: Future[list[Any]]) -> None:
    advance(number)


def _start() -> subprocess.Popen[bytes] | None:
    """A process; None where none can be started."""
    words = (
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"  # It is ended by this one: Ctrl-C reaches both.
        "from handful_trainer.workers.worker import main; main()"
    )
    alone = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-c", words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | alone
        )
    except OSError as error:
        _log.warning("no process can be started to inspect images: %s", error)
        return None


def _send(process: subprocess.Popen[bytes], task: _Task) -> None:
    if process.stdin is None:
        raise EOFError
    pickle.dump((task.work, task.items), process.stdin)
    process.stdin.flush()


def _received(process: subprocess.Popen[bytes], done: Future[list[Any]]) -> None:
    if process.stdout is None:
        raise EOFError
    found, error = pickle.load(process.stdout)  # noqa: S301 - from this very program
    if error is None:
        done.set_result(found)
    else:
        done.set_exception(error)


def _do_here(task: _Task) -> None:
    try:
        task.done.set_result(task.work(task.items))
    except Exception as error:
        task.done.set_exception(error)
