"""Training with Ultralytics, watched by its callbacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from handful_core.console import say
from handful_core.errors import DataError
from handful_trainer.pipeline.job import TrainingJob
from handful_trainer.pipeline.weights import find_weights
from handful_trainer.tasks.detection.settings import detection_config
from handful_trainer.tasks.detection.ultralytics import (
    UnsafeWeightsError,
    download_weights,
    new_model,
    open_network,
    read_checkpoint,
    refuse_misfits,
    training_arguments,
)
from handful_trainer.tasks.engine import TrainingListener
from handful_trainer.tasks.torch_errors import translated_errors

if TYPE_CHECKING:
    from ultralytics import YOLO

_METRICS = {
    "metrics/precision(B)": "val/precision",
    "metrics/recall(B)": "val/recall",
    "metrics/mAP50(B)": "val/mAP50",
    "metrics/mAP50-95(B)": "val/mAP50_95",
}
"""Ultralytics' names and ours: MLflow allows no brackets."""
NO_NUMBER = "lower training.lr0, or look at the boxes of the dataset"
"""What to do where the loss is NaN or infinite."""


def train(job: TrainingJob, listener: TrainingListener, *, resume: bool) -> Path:
    """Train, or go on where a training stopped.

    Args:
        job: what is trained, on what.
        listener: told of parameters, batches and epochs.
        resume: go on with the folder's last checkpoint.

    Returns:
        The weights of the best epoch.

    Raises:
        ResourceError: not enough memory or disk.
        DataError: the training cannot learn from this data.
    """
    folder = job.folder.path / "yolo"
    best = folder / "weights" / "best.pt"
    arguments = training_arguments(detection_config(job.config), job.dataset.description, folder)
    checkpoint = _checkpoint(folder / "weights") if resume else None
    if checkpoint is not None and checkpoint.finished:
        return best
    if checkpoint is not None:
        say(f"going on after epoch {checkpoint.epochs_done} of {job.config.training.epochs}")
        model, arguments = open_network(checkpoint.path), arguments | {"resume": True}
    else:
        model = new_model(detection_config(job.config))
        arguments["pretrained"] = first_weights(job, model)
    TrainingCallbacks(listener, job.config.training.epochs).attach(model)
    with translated_errors(NO_NUMBER):
        model.train(**arguments)
    if not best.is_file():
        raise DataError("the training left no weights", "look at the losses: were they NaN? Lower lr0")
    return best


def first_weights(job: TrainingJob, network: YOLO) -> str | Literal[False]:
    """The file of the weights that a network begins with, or none.

    Raises:
        ConfigError: there are no such weights, or few of them fit into the network.
    """
    wanted = job.config.model.pretrained
    if not wanted:
        return False
    weights = find_weights(wanted, job.home, job.uri, download_weights)
    with translated_errors(NO_NUMBER):
        refuse_misfits(network, weights, wanted)
    return str(weights)


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    """What a stopped training left."""

    path: Path
    epochs_done: int
    finished: bool
    """The last epoch is done: Ultralytics marks it by taking the optimizer out."""


def _checkpoint(weights: Path) -> _Checkpoint | None:
    """The last whole checkpoint: a kill in the middle of writing leaves last.pt in pieces, but best.pt whole."""
    for path in (weights / "last.pt", weights / "best.pt"):
        try:
            epoch = int(read_checkpoint(path)["epoch"])
        except FileNotFoundError:
            continue
        except (OSError, KeyError, ValueError, UnsafeWeightsError) as error:
            say(f"{path} is damaged ({type(error.__cause__ or error).__name__}) and left aside")
            continue
        return _Checkpoint(path, epoch + 1, finished=epoch < 0)
    return None


class TrainingCallbacks:
    """Ultralytics' callbacks, which tell a listener.

    Args:
        listener: is told.
        epochs: of the whole training.
    """

    def __init__(self, listener: TrainingListener, epochs: int) -> None:
        self._listener = listener
        self._epochs = epochs
        self._trained = False

    def attach(self, model: Any) -> None:
        """Let a model call them."""
        model.add_callback("on_train_start", self._on_start)
        model.add_callback("on_train_batch_end", lambda _: self._listener.batch())
        model.add_callback("on_train_epoch_end", self._on_trained)
        model.add_callback("on_fit_epoch_end", self._on_epoch)

    def _on_start(self, trainer: Any) -> None:
        use_channels_last(trainer)
        resolved = {f"ultralytics.{key}": value for key, value in sorted(vars(trainer.args).items())}
        batches = len(trainer.train_loader)
        self._listener.started(
            resolved | {"ultralytics.optimizer_used": type(trainer.optimizer).__name__},
            batches=self._epochs * batches,
            done=trainer.start_epoch * batches,
        )

    def _on_trained(self, _: Any) -> None:
        self._trained = True

    def _on_epoch(self, trainer: Any) -> None:
        # Ultralytics calls this once more after the last epoch, for the final validation of the best weights.
        if not self._trained:
            return
        self._trained = False
        values = {
            **trainer.label_loss_items(trainer.tloss, prefix="train"),
            **trainer.metrics,
            **trainer.lr,
            "epoch_seconds": trainer.epoch_time,
        }
        self._listener.epoch(trainer.epoch + 1, _renamed(values))


def use_channels_last(trainer: Any) -> None:
    """Lay the weights out as a processor's convolutions read them, channels last: a fifth less time."""
    import torch

    if trainer.device.type == "cpu":
        trainer.model.to(memory_format=torch.channels_last)


def _renamed(values: Mapping[str, Any]) -> dict[str, float]:
    return {_METRICS.get(key, key): float(value) for key, value in values.items()}
