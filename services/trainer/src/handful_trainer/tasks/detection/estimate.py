"""What a training would take: some real batches are trained and thrown away, the rest is multiplication."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from handful_core.errors import ResourceError
from handful_trainer.pipeline.job import TrainingJob
from handful_trainer.tasks.detection.settings import detection_config
from handful_trainer.tasks.detection.train import NO_NUMBER, first_weights, use_channels_last
from handful_trainer.tasks.detection.ultralytics import new_model, training_arguments
from handful_trainer.tasks.engine import Estimate
from handful_trainer.tasks.memory import memory
from handful_trainer.tasks.torch_errors import translated_errors

_WARM_UP = 2
_BATCHES = 6
"""Batches that are trained, after those that warm up."""
_CHECKPOINTS = 2
"""Of each: best and last."""
_BYTES_PER_PARAMETER = 12
"""Of a checkpoint on disk: half-precision weights and average, the optimizer's two moments."""


class _EnoughError(Exception):
    """So many batches say how long the others take."""


def estimate(job: TrainingJob) -> Estimate:
    """Train some batches in a folder that is thrown away.

    Args:
        job: what would be trained, on what.

    Raises:
        ResourceError: not enough memory even for these.
    """
    with tempfile.TemporaryDirectory(prefix="handful-dry-run-") as folder:
        model = new_model(detection_config(job.config))
        arguments = training_arguments(detection_config(job.config), job.dataset.description, Path(folder) / "yolo") | {
            "plots": False
        }
        arguments["pretrained"] = first_weights(job, model)
        watch = _Stopwatch()
        model.add_callback("on_train_start", use_channels_last)
        model.add_callback("on_train_batch_start", watch.begin)
        model.add_callback("on_train_batch_end", watch.end)
        with contextlib.suppress(_EnoughError), translated_errors(NO_NUMBER):
            model.train(**arguments)
    if not watch.times:
        raise ResourceError("not one batch was trained", "use more images or a smaller training.batch")
    return _estimate(job, watch)


class _Stopwatch:
    """Times batches, and one validation batch, then ends the training."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.val_seconds = 0.0
        """Of an image in validation."""
        self.trainer: Any = None
        self._began = 0.0

    def begin(self, trainer: Any) -> None:
        self.trainer = trainer
        self._began = time.perf_counter()

    def end(self, trainer: Any) -> None:
        self.times.append(time.perf_counter() - self._began)
        if len(self.times) == min(_WARM_UP + _BATCHES, len(trainer.train_loader)):
            self.val_seconds = _validation_seconds(trainer)
            raise _EnoughError


def _validation_seconds(trainer: Any) -> float:
    """Seconds that a validation image takes the network."""
    import torch

    images = next(iter(trainer.test_loader))["img"].to(trainer.device).float() / 255
    network = trainer.ema.ema.eval()
    with torch.inference_mode():
        began = time.perf_counter()
        network(images)
    return (time.perf_counter() - began) / len(images)


def _estimate(job: TrainingJob, watch: _Stopwatch) -> Estimate:
    trainer = watch.trainer
    steady = watch.times[_WARM_UP:] or watch.times
    batch_seconds = statistics.median(steady)
    batches, epochs = len(trainer.train_loader), job.config.training.epochs
    val_images = job.dataset.split_sizes.get("val", 0)
    epoch_seconds = batches * batch_seconds + val_images * watch.val_seconds
    parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
    used, available = memory(trainer.device)
    limit = detection_config(job.config).training.max_time_hours
    return Estimate(
        device=str(trainer.device),
        parameters=parameters,
        train_images=len(trainer.train_loader.dataset),
        val_images=val_images,
        batches=batches,
        epochs=epochs,
        batch_seconds=batch_seconds,
        epoch_seconds=epoch_seconds,
        seconds=limit * 3600 if limit else epochs * epoch_seconds,
        memory_bytes=used,
        memory_available=available,
        disk_bytes=_CHECKPOINTS * _BYTES_PER_PARAMETER * parameters,
    )
