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
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from handful_trainer.data.images import ImageFacts, inspect_images

_log = logging.getLogger(__name__)


class Inspectors:
    """This process and some others. Each call of `inspect` takes one that is free, and waits for it without the lock.

    Args:
        number: how many, with this one: as many threads may call `inspect` at once.
    """

    def __init__(self, number: int) -> None:
        self._processes = [process for _ in range(number - 1) if (process := _start())]
        self._free: queue.SimpleQueue[subprocess.Popen[bytes] | None] = queue.SimpleQueue()
        for process in (None, *self._processes):
            self._free.put(process)

    def inspect(self, paths: Sequence[Path | None]) -> list[ImageFacts]:
        """Read, hash and decode files."""
        process = self._free.get()
        try:
            return _asked(process, paths) if process else inspect_images(paths)
        except (OSError, EOFError, pickle.UnpicklingError):
            _log.warning("a process that inspects images has ended; its images are inspected by this one")
            process = None
            return inspect_images(paths)
        finally:
            self._free.put(process)

    def __enter__(self) -> Self:
        """Nothing to do: they are running."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End them."""
        for process in self._processes:
            process.kill()  # They hold nothing that could be lost.
            process.communicate()


def _start() -> subprocess.Popen[bytes] | None:
    """A process, None where none can be started: the others do its work."""
    words = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\nfrom {__name__} import main; main()"
    command = [sys.executable, "-P", "-c", words]  # It is ended by this process: Ctrl-C reaches both.
    alone = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    try:
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | alone)
    except OSError as error:
        _log.warning("no process can be started to inspect images: %s", error)
        return None


def _asked(process: subprocess.Popen[bytes], paths: Sequence[Path | None]) -> list[ImageFacts]:
    if process.stdin is None or process.stdout is None:
        raise EOFError
    pickle.dump([path and os.fspath(path) for path in paths], process.stdin)
    process.stdin.flush()
    found: list[ImageFacts] = pickle.load(process.stdout)  # noqa: S301 - from this very program
    return found


def serve(questions: BinaryIO, answers: BinaryIO) -> None:
    """Answer lists of paths with what is in the files, until there are no more, or nobody who asks."""
    warnings.simplefilter("ignore")  # Pillow warns of odd but usable files.
    while True:
        try:
            paths: Any = pickle.load(questions)  # noqa: S301 - from the program that started this one
            answers.write(pickle.dumps(inspect_images(paths), pickle.HIGHEST_PROTOCOL))
            answers.flush()
        except (EOFError, BrokenPipeError):
            return


def main() -> None:
    """Serve the program that started this one. What a library prints goes to stderr."""
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)
        serve(sys.stdin.buffer, answers)
