"""The processes of a training on several devices: this one drives the first, and starts one for each of the others."""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import IO, Any, TypeVar, cast

from torch import distributed, nn

from handful_core.errors import HandfulError
from handful_trainer.pipeline.job import TrainingJob
from handful_trainer.tasks.classification.settings import classification_config
from handful_trainer.tasks.classification.training.placement import Placement

_PROGRAM = """
import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all: the first process ends the others.
from handful_trainer.tasks.classification.training.ranks import main; main()
"""
_LAST_WORDS = 10
"""Seconds in which a process whose training failed says why."""
_T = TypeVar("_T")


def gathered(mine: _T) -> list[_T]:
    """What each of the training's processes has, the first one's first."""
    if not distributed.is_initialized():
        return [mine]
    every: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(every, mine)
    return every


def share_statistics(network: nn.Module) -> None:
    """Give all processes the first one's statistics of norms: what they measure is what it keeps."""
    if distributed.is_initialized():
        for buffer in network.buffers():
            distributed.broadcast(buffer, 0)


@contextlib.contextmanager
def other_ranks(job: TrainingJob, place: Placement, checkpoint: Path | None) -> Iterator[None]:
    """Let the processes of the other devices train along until this one has ended.

    Args:
        job: what is trained, on what.
        place: all devices; this process has the first.
        checkpoint: where all of them go on, if they do.

    Raises:
        HandfulError: one of them failed; the line says why.
    """
    others = [_start(job, replace(place, rank=rank), checkpoint) for rank in range(1, place.ranks)]
    try:
        _await(others)
        yield
    except RuntimeError as error:  # What this process sees of it may be that another one is gone.
        for other in others:
            with contextlib.suppress(subprocess.TimeoutExpired):
                other.wait(_LAST_WORDS)
                if failed := _answer(other):
                    raise failed from error
        raise
    finally:
        for other in others:  # They hold nothing that could be lost.
            other.kill()
            other.communicate()
        if others and distributed.is_initialized():
            distributed.destroy_process_group()


def _await(others: Sequence[subprocess.Popen[bytes]]) -> None:
    """Wait until all are ready to train."""
    for other in others:
        if failed := _answer(other):
            raise failed


def _start(job: TrainingJob, place: Placement, checkpoint: Path | None) -> subprocess.Popen[bytes]:
    """A process that trains along. Like the pool's workers it is a program of its own: ADR 14."""
    process = subprocess.Popen([sys.executable, "-P", "-c", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    stdin = cast("IO[bytes]", process.stdin)
    stdin.write(pickle.dumps((job, place, checkpoint)))
    stdin.flush()
    return process


def _answer(process: subprocess.Popen[bytes]) -> HandfulError | None:
    """The next word of a process: None for all is well, or why it failed."""
    try:
        found: HandfulError | None = pickle.load(cast("IO[bytes]", process.stdout))  # noqa: S301 - from this very program
    except (EOFError, pickle.UnpicklingError):
        return HandfulError(f"a process of the training ended (exit code {process.wait()})", "see the lines above")
    return found


def main() -> None:
    """What such a process runs: train along, and end when the first one does."""
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # What a library prints must not get into the answers.
        job, place, checkpoint = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the program that started this one
        Thread(target=_end_with_the_first, daemon=True).start()
        try:
            _train_along(job, place, checkpoint, answers)
        except HandfulError as error:
            _tell(answers, error)


def _train_along(job: TrainingJob, place: Placement, checkpoint: Path | None, answers: IO[bytes]) -> None:
    from handful_trainer.tasks.classification.training.train import NO_NUMBER, callbacks, configure, fit, prepared
    from handful_trainer.tasks.torch_errors import translated_errors

    configure()
    with translated_errors(NO_NUMBER):
        classifier, data = prepared(job, place)
        _tell(answers, None)
        fit(classification_config(job.config), classifier, data, [*callbacks(job, Unheard())], checkpoint, place)


class Unheard:
    """A listener for all but the first process, which tells of the training for all of them."""

    def started(self, params: Mapping[str, Any], batches: int, done: int) -> None:
        """Nothing."""

    def batch(self) -> None:
        """Nothing."""

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Nothing."""


def _tell(answers: IO[bytes], word: HandfulError | None) -> None:
    with contextlib.suppress(OSError):  # The first process was killed.
        answers.write(pickle.dumps(word))
        answers.flush()


def _end_with_the_first() -> None:
    sys.stdin.buffer.read()
    os._exit(1)
