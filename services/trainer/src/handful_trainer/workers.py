"""A pool of worker processes, for work on many images.

Threads wait for each other at the interpreter's lock, many times for every image. Where images are many, that costs
more than starting processes. A worker is a program of its own, not a child of `multiprocessing`: that would run the
caller's script again if it has no `if __name__ == "__main__"`. Why not loky: ADR 14.

The pool sends pickles of (function, items) to a worker's stdin, which answers (results, error) on its stdout. A worker
ends when its stdin does, so none is left over when the program is killed.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import pickle
import queue
import subprocess
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from threading import Thread
from typing import IO, Any, NamedTuple, TypeVar, cast

from handful_core.runtime.cpus import available_cpus

_MIN_IMAGES = 1500
"""Images from which on processes are worth their start, a quarter of a second of a processor's time each."""
_MAX_PROCESSES = 8
"""This process, which takes in the results, needs a tenth of the time that a worker needs for an image."""
_CHUNK = 32
"""Items a task: few enough for a lively progress bar, enough that handing them out costs nothing."""
_PREFETCH = 2
"""Tasks that a worker has at once, so that it need not wait until this process finds the time to send the next."""
_PROGRAM = """
import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both: the pool ends its workers.
import handful_trainer.dataset.inspection.inspect  # The first work: loaded while annotations are read.
from handful_trainer.workers import main; main()
"""

_In = TypeVar("_In")
_Out = TypeVar("_Out")
_Work = Callable[[Sequence[Any]], list[Any]]
_log = logging.getLogger(__name__)


class _Task(NamedTuple):
    work: _Work
    again: _Work
    items: Sequence[Any]
    done: Future[list[Any]]


class WorkerPool:
    """Worker processes, or threads where images are few: about `images`. They start at once and run until `close`."""

    def __init__(self, images: int) -> None:
        cpus = available_cpus()
        parallel = cpus > 1 and images >= _MIN_IMAGES
        self._processes = [_start_worker() for _ in range(min(cpus, _MAX_PROCESSES))] if parallel else []
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._closed = False
        members = self._processes or [None] * cpus
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
        """Start some work at once, and give its results in order.

        Args:
            work: takes several items at once. A function of a module, or a `partial` of one, since it is pickled.
            items: what it is called with, in chunks.
            advance: called with the number of items that are newly done, from another thread.
            again: called instead of `work` with items that a worker may have done in part before it died.
            chunk: how many items it takes at once.
        """
        tasks = [_Task(work, again or work, items[at : at + chunk], Future()) for at in range(0, len(items), chunk)]
        for task in tasks:
            task.done.add_done_callback(partial(_report, advance, len(task.items)))
            self._tasks.put(task)
        return (result for task in tasks for result in task.done.result())

    def close(self) -> None:
        """End the workers, whatever they do: they hold nothing that could be lost."""
        self._closed = True
        for _ in self._threads:
            self._tasks.put(None)  # Wakes a thread that waits for a task.
        for process in filter(None, self._processes):
            process.kill()
        for thread in self._threads:
            thread.join()
        for process in filter(None, self._processes):
            process.communicate()

    def _serve(self, process: subprocess.Popen[bytes] | None) -> None:
        """Have a worker do tasks. Without one, and once it has died, they are done by this thread."""
        sent: deque[_Task] = deque()
        try:
            while process and not self._closed:
                self._send_tasks(process, sent)
                if sent:
                    _settle(sent[0].done, *pickle.load(cast("IO[bytes]", process.stdout)))  # noqa: S301 - from this very program
                    sent.popleft()
        except Exception:  # Of any kind: somebody waits for the results, so this thread must go on.
            if self._closed:
                return
            _log.warning("a worker process has ended; this process does its work")
        for begun in sent:
            _settle(begun.done, *_call(begun.again, begun.items))
        while task := self._next(wait=True):
            _settle(task.done, *_call(task.work, task.items))

    def _send_tasks(self, process: subprocess.Popen[bytes], sent: deque[_Task]) -> None:
        """Send tasks until the worker has enough, and note them in `sent`. Waits for one if it has none."""
        # Nothing is sent ahead behind a large task: another worker will have time for it sooner.
        while not sent or (len(sent) < _PREFETCH and len(sent[0].items) <= _CHUNK):
            task = self._next(wait=not sent)
            if task is None:
                return
            sent.append(task)  # First: if it cannot be sent, it must not be lost.
            stdin = cast("IO[bytes]", process.stdin)
            stdin.write(pickle.dumps((task.work, task.items), pickle.HIGHEST_PROTOCOL))
            stdin.flush()

    def _next(self, *, wait: bool) -> _Task | None:
        """A task; None if there is none now, or the pool is closed."""
        try:
            task = None if self._closed else self._tasks.get(block=wait)
        except queue.Empty:
            return None
        return None if self._closed else task


def _report(advance: Callable[[int], object], items: int, _: Future[list[Any]]) -> None:
    advance(items)


def _start_worker() -> subprocess.Popen[bytes] | None:
    """A worker process; None where none can be started."""
    env = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # There is a worker for each processor.
    command = [sys.executable, "-P", "-c", _PROGRAM]
    try:
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)
    except OSError as error:
        _log.warning("no worker process can be started: %s", error)
        return None


def _call(work: _Work, items: Sequence[Any]) -> tuple[list[Any], None] | tuple[None, Exception]:
    """The results, or the error that was raised."""
    try:
        return work(items), None
    except Exception as error:
        return None, error


def _settle(done: Future[list[Any]], results: list[Any] | None, error: Exception | None) -> None:
    if error is None:
        done.set_result(results or [])
    else:
        done.set_exception(error)


def main() -> None:
    """What a worker process runs: do tasks from stdin and answer on stdout, until stdin ends."""
    warnings.simplefilter("ignore")  # Pillow warns of odd but usable files.
    gc.disable()  # Nothing here refers to itself.
    received: queue.SimpleQueue[tuple[_Work, Sequence[Any]] | None] = queue.SimpleQueue()
    # Not sys.stdin: Python closes it in the end, and does not get it from the thread that reads.
    tasks = os.fdopen(os.dup(0), "rb")
    # Tasks are taken in while one is done: otherwise both sides could wait for the other to read.
    Thread(target=_read_tasks, args=[tasks, received], daemon=True).start()
    with contextlib.suppress(OSError), os.fdopen(os.dup(1), "wb") as answers:  # The pool's process was killed.
        os.dup2(2, 1)  # What a library prints must not get into the answers.
        while task := received.get():
            answers.write(pickle.dumps(_call(*task), pickle.HIGHEST_PROTOCOL))
            answers.flush()


def _read_tasks(tasks: IO[bytes], received: queue.SimpleQueue[tuple[_Work, Sequence[Any]] | None]) -> None:
    try:
        while True:
            received.put(pickle.load(tasks))  # noqa: S301 - from the program that started this one
    except (EOFError, OSError):
        received.put(None)
