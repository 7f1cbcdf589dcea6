"""A batch on this machine: a process for each processor."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice

from handful_core.batch.worker import Done, Part, Worker
from handful_core.errors import ResourceError
from handful_core.runtime.cpus import available_cpus

_worker: Worker | None = None
"""This process's own; its model is loaded once."""


class Processes:
    """Runs a worker in processes of this machine.

    Args:
        count: how many; as many as there are processors if None.
    """

    def __init__(self, count: int | None = None) -> None:
        self.count = count or available_cpus()

    def __call__(self, worker: Worker, parts: Sequence[Part]) -> Iterator[Done]:
        """Answer all parts, in any order.

        Raises:
            ResourceError: a process was killed, as where memory is short.
        """
        if not parts:
            return
        # A forked process would inherit the threads' locks of ONNX Runtime and pyarrow.
        context = multiprocessing.get_context("spawn")
        count = min(self.count, len(parts))
        with ProcessPoolExecutor(count, context, initializer=_begin, initargs=(worker,)) as pool:
            waiting = iter(parts)
            running: set[Future[Done]] = {pool.submit(_answer, part) for part in islice(waiting, 2 * count)}
            try:
                while running:
                    ended, running = wait(running, return_when=FIRST_COMPLETED)
                    for future in ended:
                        yield future.result()
                    running |= {pool.submit(_answer, part) for part in islice(waiting, len(ended))}
            except BrokenProcessPool as error:
                raise ResourceError(
                    "a process of the batch was killed; what was answered is kept",
                    "see whether memory was short, then run it again with a smaller --processes: it goes on",
                ) from error
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


def _begin(worker: Worker) -> None:
    global _worker  # noqa: PLW0603 - how a pool's process keeps what is its own
    _worker = worker


def _answer(part: Part) -> Done:
    if _worker is None:
        raise RuntimeError("a process of the batch was not begun")
    return _worker.answer(part)
