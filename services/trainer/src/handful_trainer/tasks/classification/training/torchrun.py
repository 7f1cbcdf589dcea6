"""A training whose processes torchrun started, on one machine or several: the first one leads, the others follow.

Each process prepares its images and network by itself. What the others have to know of the first goes to them by
torch.distributed: whether all train the same, and the checkpoint that they go on from.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from torch import distributed

from handful_core.errors import ConfigError, HandfulError
from handful_trainer.pipeline.job import TrainingJob
from handful_trainer.pipeline.run_folder import recipe_of
from handful_trainer.tasks.classification.settings import classification_config
from handful_trainer.tasks.classification.training.placement import placement
from handful_trainer.tasks.classification.training.ranks import Unheard, gathered

_TIMEOUT = timedelta(hours=1)
"""How long one waits for the others, which may still prepare their images. Torchrun ends all as soon as one failed."""


class _Begin(NamedTuple):
    """What the first process says."""

    recipe: str
    """Of what is trained: settings and images."""
    checkpoint: bytes | None
    """Where all go on, if they do."""


@contextlib.contextmanager
def leading(job: TrainingJob, checkpoint: Path | None) -> Iterator[None]:
    """Let the other processes train along until this one has ended.

    Raises:
        HandfulError: one of them cannot; the line says why.
    """
    with _joined():
        _said_by_the_first(_Begin(_recipe(job), checkpoint.read_bytes() if checkpoint else None))
        _agree(None)
        yield


def dismiss_followers(job: TrainingJob) -> None:
    """Let the other processes end, if there are some: nothing is left to train."""
    if job.group:
        with _joined():
            _said_by_the_first(None)


def follow(job: TrainingJob) -> None:
    """Train along with the first process.

    Raises:
        HandfulError: this process or another one cannot.
    """
    from handful_trainer.tasks.classification.training.train import NO_NUMBER, callbacks, fit, prepared
    from handful_trainer.tasks.torch_errors import translated_errors

    config = classification_config(job.config)
    with translated_errors(NO_NUMBER), _joined(), tempfile.TemporaryDirectory() as folder:
        begin = _said_by_the_first(None)
        if begin is None:
            return
        try:
            _check(job, begin)
            place = placement(config, job.group)
            classifier, data = prepared(job, place)
        except HandfulError as error:
            _agree(error)
            raise
        _agree(None)
        checkpoint = Path(folder) / "checkpoint.ckpt" if begin.checkpoint else None
        if checkpoint and begin.checkpoint:
            checkpoint.write_bytes(begin.checkpoint)
        fit(config, classifier, data, [*callbacks(job, Unheard())], checkpoint, place)


@contextlib.contextmanager
def _joined() -> Iterator[None]:
    """Meet the others where torchrun says. Lightning takes the group that is there: Gloo for CPUs, NCCL for GPUs."""
    distributed.init_process_group(timeout=_TIMEOUT)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def _said_by_the_first(mine: _Begin | None) -> _Begin | None:
    said: list[_Begin | None] = [mine]
    distributed.broadcast_object_list(said, src=0)
    return said[0]


def _agree(failed: HandfulError | None) -> None:
    """Go on if all can."""
    for error in gathered(failed):
        if error is not None:
            raise error


def _check(job: TrainingJob, begin: _Begin) -> None:
    if begin.recipe != _recipe(job):
        rank = job.group.rank if job.group else 0
        raise ConfigError(
            f"process {rank} of torchrun has other settings or images than the first one",
            "give all machines the same configuration and images, and name the splits: dataset.split.keep",
        )


def _recipe(job: TrainingJob) -> str:
    return recipe_of(job.config, job.dataset.fingerprint)
