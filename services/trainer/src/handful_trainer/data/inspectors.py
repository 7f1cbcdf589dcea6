"""Processes that inspect images for this one.

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
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import NamedTuple

from handful_trainer.data.facts import ImageFacts
from handful_trainer.data.images import inspect_images

_AHEAD = 2
"""Tasks that a process has at once: it need not wait until this one finds the time to give it the next."""

_log = logging.getLogger(__name__)


class _Task(NamedTuple):
    paths: Sequence[Path | None]
    found: Future[list[ImageFacts]]


class Inspectors:
    """Processes that start as soon as this is made: the one that made it may do something else meanwhile.

    Args:
        number: how many.
        decode: decode every image, not only those whose structure is odd.
    """

    def __init__(self, number: int, decode: bool = True) -> None:
        self._decode = decode
        self._tasks: queue.SimpleQueue[_Task] = queue.SimpleQueue()
        self._processes = [process for _ in range(number) if (process := _start(decode))]
        self._threads: list[Thread] = []
        self._ended = False

    def inspect(self, chunks: Sequence[Sequence[Path | None]]) -> Iterator[list[ImageFacts]]:
        """Read and hash files, and look into them; yields what is in those of each chunk, in order."""
        tasks = [_Task(paths, Future()) for paths in chunks]
        for task in tasks:
            self._tasks.put(task)
        self._threads = [Thread(target=self._work, args=[process]) for process in self._processes or [None]]
        for thread in self._threads:
            thread.start()
        for task in tasks:
            yield task.found.result()

    def _work(self, process: subprocess.Popen[bytes] | None) -> None:
        """Have a process do tasks as long as there are some. If it ends before, they are done here."""
        waiting: deque[_Task] = deque()
        try:
            while process:
                while len(waiting) < _AHEAD and (task := self._next()):
                    waiting.append(task)
                    _send(process, task.paths)
                if not waiting:
                    return
                waiting[0].found.set_result(_received(process))
                waiting.popleft()
        except (OSError, EOFError, pickle.UnpicklingError):
            if not self._ended:
                _log.warning("a process that inspects images has ended; its images are inspected by this one")
        while not self._ended and (task := waiting.popleft() if waiting else self._next()):
            _inspect_here(task, self._decode)

    def _next(self) -> _Task | None:
        try:
            return self._tasks.get_nowait()
        except queue.Empty:
            return None

    def close(self) -> None:
        """End them."""
        self._ended = True
        for process in self._processes:
            process.kill()  # They hold nothing that could be lost.
        for thread in self._threads:
            thread.join()
        for process in self._processes:
            process.communicate()
        self._processes.clear()


def _start(decode: bool) -> subprocess.Popen[bytes] | None:
    """A process, None where none can be started: this one does its work then."""
    words = (
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"  # It is ended by this one: Ctrl-C reaches both.
        f"from handful_trainer.data.inspector import main; main({decode})"
    )
    alone = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-c", words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | alone
        )
    except OSError as error:
        _log.warning("no process can be started to inspect images: %s", error)
        return None


def _send(process: subprocess.Popen[bytes], paths: Sequence[Path | None]) -> None:
    if process.stdin is None:
        raise EOFError
    pickle.dump([path and os.fspath(path) for path in paths], process.stdin)
    process.stdin.flush()


def _received(process: subprocess.Popen[bytes]) -> list[ImageFacts]:
    if process.stdout is None:
        raise EOFError
    found: list[ImageFacts] = pickle.load(process.stdout)  # noqa: S301 - from this very program
    return found


def _inspect_here(task: _Task, decode: bool) -> None:
    try:
        task.found.set_result(inspect_images(task.paths, decode))
    except BaseException as error:  # noqa: BLE001 - it is raised where the result is waited for
        task.found.set_exception(error)
