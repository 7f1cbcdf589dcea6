"""The program that works for another one, which started it: see `crew`."""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import queue
import warnings
from collections.abc import Callable, Sequence
from threading import Thread
from typing import Any, BinaryIO

import handful_trainer.dataset.inspection.inspect  # noqa: F401 - asked for first: it is there when the other has read the annotations

_Question = tuple[Callable[[Sequence[Any]], list[Any]], Sequence[Any]]


def serve(questions: BinaryIO, answers: BinaryIO) -> None:
    """Do what is asked for, and answer with the result or the error, until nothing more is asked.

    Raises:
        OSError: there is nobody any more who would take the answer.
    """
    asked: queue.SimpleQueue[_Question | None] = queue.SimpleQueue()
    # Questions are taken in while one is answered: otherwise both sides could wait for the other to read.
    Thread(target=_take_in, args=[questions, asked], daemon=True).start()
    warnings.simplefilter("ignore")  # Pillow warns of odd but usable files.
    gc.disable()  # Nothing here refers to itself.
    while question := asked.get():
        answers.write(pickle.dumps(_answer(*question), pickle.HIGHEST_PROTOCOL))
        answers.flush()


def _answer(
    work: Callable[[Sequence[Any]], list[Any]], items: Sequence[Any]
) -> tuple[list[Any], None] | tuple[None, Exception]:
    try:
        return work(items), None
    except Exception as error:
        return None, error


def _take_in(questions: BinaryIO, asked: queue.SimpleQueue[_Question | None]) -> None:
    try:
        while True:
            asked.put(pickle.load(questions))  # noqa: S301 - from the program that started this one
    except (EOFError, OSError):
        asked.put(None)


def main() -> None:
    """Serve the program that started this one. What a library prints goes to stderr."""
    # Not sys.stdin: Python closes it in the end, and does not get it from the thread that reads.
    questions = os.fdopen(os.dup(0), "rb")
    with contextlib.suppress(OSError), os.fdopen(os.dup(1), "wb") as answers:  # The other program was killed.
        os.dup2(2, 1)
        serve(questions, answers)
