"""What a training would take: some real batches are trained and thrown away, the rest is multiplication."""

from __future__ import annotations

import contextlib
import statistics
import time
from dataclasses import replace
from typing import Any

import lightning
import torch

from handful_core.errors import ResourceError
from handful_trainer.pipeline.job import TrainingJob
from handful_trainer.tasks.classification.settings import classification_config
from handful_trainer.tasks.classification.training.module import Classifier
from handful_trainer.tasks.classification.training.placement import placement
from handful_trainer.tasks.classification.training.train import NO_NUMBER, fit, prepared
from handful_trainer.tasks.engine import Estimate
from handful_trainer.tasks.memory import memory
from handful_trainer.tasks.torch_errors import translated_errors

_WARM_UP = 2
_BATCHES = 6
"""Batches that are trained, after those that warm up."""
_BYTES_PER_PARAMETER = 16
"""Of the checkpoints on disk: the best weights, the last, and the optimizer's two moments."""
_BYTES_PER_AVERAGE = 4
"""More, where the weights' average is in the checkpoint too."""


def estimate(job: TrainingJob) -> Estimate:
    """Train some batches and throw them away: of the whole network, as epochs of its last layer alone take less.

    Of several devices the first trains its share of each batch.

    Args:
        job: what would be trained, on what.

    Raises:
        ResourceError: not enough memory even for these.
    """
    watch, place = _Stopwatch(), placement(classification_config(job.config))
    whole = job.config.model_copy(update={"training": job.config.training.model_copy(update={"head_epochs": 0})})
    with translated_errors(NO_NUMBER):
        classifier, data = prepared(replace(job, config=whole), place)
        with contextlib.suppress(_EnoughError):
            fit(classification_config(whole), classifier, data, [watch], place=place.alone())
        if not watch.times:
            raise ResourceError("not one batch was trained", "use more images or a smaller training.batch")
        val_seconds = _validation_seconds(classifier, data.val_dataloader(), watch.device)
    parameters = sum(parameter.numel() for parameter in classifier.module.parameters())
    batch_seconds = statistics.median(watch.times[_WARM_UP:] or watch.times)
    epoch_seconds = watch.batches * batch_seconds + len(data.val) * val_seconds / place.ranks
    used, available = memory(watch.device)
    return Estimate(
        device=str(watch.device),
        parameters=parameters,
        train_images=len(data.train),
        val_images=len(data.val),
        batches=watch.batches,
        epochs=job.config.training.epochs,
        batch_seconds=batch_seconds,
        epoch_seconds=epoch_seconds,
        seconds=job.config.training.epochs * epoch_seconds,
        memory_bytes=used,
        memory_available=available,
        disk_bytes=(_BYTES_PER_PARAMETER + (_BYTES_PER_AVERAGE if classifier.average else 0)) * parameters,
    )


class _EnoughError(Exception):
    """So many batches say how long the others take."""


class _Stopwatch(lightning.Callback):
    """Times batches, images and all, then ends the training."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.batches = 0
        self.device = torch.device("cpu")
        self._began = 0.0

    def on_train_epoch_start(self, trainer: lightning.Trainer, _: Any) -> None:
        """Begin."""
        self.batches, self.device = int(trainer.num_training_batches), trainer.strategy.root_device
        self._began = time.perf_counter()

    def on_train_batch_end(self, *_: object) -> None:
        """Note the time since the last batch."""
        now = time.perf_counter()
        self.times.append(now - self._began)
        self._began = now
        if len(self.times) == min(_WARM_UP + _BATCHES, self.batches):
            raise _EnoughError


def _validation_seconds(classifier: Classifier, batches: Any, device: torch.device) -> float:
    """Seconds that a validation image takes."""
    began = time.perf_counter()
    images, _ = next(iter(batches))
    with torch.inference_mode():
        classifier.to(device).eval()(images.to(device))
    return (time.perf_counter() - began) / len(images)
