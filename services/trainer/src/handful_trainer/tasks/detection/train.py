"""Training with Ultralytics, watched by our own callbacks."""

from __future__ import annotations

import contextlib
import errno
import pickle
import re
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from handful_core.console import progress, say
from handful_core.errors import DataError, HandfulError, ResourceError
from handful_trainer.config import TrainingConfig
from handful_trainer.pipeline.run_folder import RunFolder
from handful_trainer.pipeline.weights import find_weights
from handful_trainer.tasks.detection.ultralytics import new_model, training_arguments
from handful_trainer.tracking import Tracker

_METRICS = {
    "metrics/precision(B)": "val/precision",
    "metrics/recall(B)": "val/recall",
    "metrics/mAP50(B)": "val/mAP50",
    "metrics/mAP50-95(B)": "val/mAP50_95",
}
"""Ultralytics' names and ours: MLflow allows no brackets."""

OnEpoch = Callable[[int, Mapping[str, float]], None]


class Terminated(KeyboardInterrupt):
    """The process was asked to end by SIGTERM."""


def fit(
    config: TrainingConfig,
    data_yaml: Path,
    folder: RunFolder,
    tracker: Tracker,
    home: Path,
    uri: str,
    *,
    resume: bool,
    on_epoch: OnEpoch | None = None,
) -> Path:
    """Train, or go on where a training stopped.

    Args:
        config: what is trained, and how.
        data_yaml: the prepared dataset's description.
        folder: where checkpoints and plots go.
        tracker: takes parameters and metrics.
        home: where downloaded weights lie.
        uri: MLflow's address, asked where the training begins with a registered model.
        resume: go on with the folder's last checkpoint.
        on_epoch: gets every epoch's number, from 1, and its metrics; what it raises ends the training.

    Returns:
        The weights of the best epoch.

    Raises:
        ResourceError: not enough memory or disk.
        DataError: the training cannot learn from this data.
    """
    from ultralytics import YOLO

    arguments = training_arguments(config, data_yaml, folder.yolo)
    checkpoint = _checkpoint(folder) if resume else None
    if checkpoint is not None and checkpoint.finished:
        return folder.best_weights
    if checkpoint is not None:
        say(f"going on after epoch {checkpoint.epochs_done} of {config.training.epochs}")
        model, arguments = YOLO(str(checkpoint.path)), arguments | {"resume": True}
    else:
        model = new_model(config)
        weights = config.model.pretrained
        arguments["pretrained"] = str(find_weights(weights, home, uri)) if weights else False
    watch = TrainingCallback(model, tracker, config.training.epochs, log_params=not resume, on_epoch=on_epoch)
    with watch, translated_errors():
        model.train(**arguments)
    if not folder.best_weights.is_file():
        raise DataError("the training left no weights", "look at the losses: were they NaN? Lower lr0")
    return folder.best_weights


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    """What a stopped training left."""

    path: Path
    epochs_done: int
    finished: bool
    """The last epoch is done: Ultralytics marks it by taking the optimizer out."""


def _checkpoint(folder: RunFolder) -> _Checkpoint | None:
    """The last whole checkpoint: a kill in the middle of writing leaves last.pt in pieces, but best.pt whole."""
    from ultralytics.utils.patches import torch_load

    for path in (folder.last_weights, folder.best_weights):
        try:
            epoch = int(torch_load(path, map_location="cpu")["epoch"])
        except FileNotFoundError:
            continue
        except (OSError, RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
            say(f"{path} is damaged ({type(error).__name__}) and left aside")
            continue
        return _Checkpoint(path, epoch + 1, finished=epoch < 0)
    return None


class TrainingCallback:
    """Logs every epoch and shows the progress."""

    def __init__(
        self, model: Any, tracker: Tracker, epochs: int, *, log_params: bool, on_epoch: OnEpoch | None
    ) -> None:
        self._tracker = tracker
        self._epochs = epochs
        self._bar = progress()
        self._task = self._bar.add_task("training", total=None)
        self._trained = False
        self._log_params = log_params
        self._tell = on_epoch
        model.add_callback("on_train_start", self._on_start)
        model.add_callback("on_train_batch_end", self._on_batch)
        model.add_callback("on_train_epoch_end", self._on_trained)
        model.add_callback("on_fit_epoch_end", self._on_epoch)

    def __enter__(self) -> None:
        self._bar.start()

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def _on_start(self, trainer: Any) -> None:
        use_channels_last(trainer)
        if self._log_params:  # MLflow lets nobody change a parameter, and a resumed training resolves some otherwise.
            resolved = {f"ultralytics.{key}": value for key, value in sorted(vars(trainer.args).items())}
            self._tracker.params(resolved | {"ultralytics.optimizer_used": type(trainer.optimizer).__name__})
        batches = len(trainer.train_loader)
        self._bar.update(self._task, total=self._epochs * batches, completed=trainer.start_epoch * batches)

    def _on_batch(self, _: Any) -> None:
        self._bar.advance(self._task)

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
        metrics = _renamed(values)
        self._tracker.metrics(metrics, step=trainer.epoch + 1)
        if self._tell is not None:
            self._tell(trainer.epoch + 1, metrics)
        score = float(trainer.metrics.get("metrics/mAP50(B)", 0))
        self._bar.update(self._task, description=f"epoch {trainer.epoch + 1}/{self._epochs}  mAP50 {score:.3f}")


def use_channels_last(trainer: Any) -> None:
    """Lay the weights out as a processor's convolutions read them, channels last: a fifth less time."""
    import torch

    if trainer.device.type == "cpu":
        trainer.model.to(memory_format=torch.channels_last)


def _renamed(values: Mapping[str, Any]) -> dict[str, float]:
    return {_METRICS.get(key, key): float(value) for key, value in values.items()}


@contextlib.contextmanager
def translated_errors() -> Iterator[None]:
    """What Ultralytics and torch raise, as lines that say what to do."""
    try:
        yield
    except HandfulError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"the dataset cannot be read ({str(error).splitlines()[0]})", "prepare it again") from error
    except (MemoryError, RuntimeError, OSError) as error:
        raise _translated(error) from error


def _translated(error: MemoryError | RuntimeError | OSError) -> HandfulError:
    text = str(error)
    words = text.lower()
    if isinstance(error, MemoryError) or "out of memory" in words or "can't allocate memory" in words:
        return ResourceError("there is not enough memory for this training", "lower training.batch or training.imgsz")
    # Torch's writer has words of its own for a full disk.
    if getattr(error, "errno", None) == errno.ENOSPC or "file write failed" in words or "pytorchstreamwriter" in words:
        return ResourceError("the disk is full", "make room, then go on with handful train --resume")
    if "nan" in re.findall("[a-z]+", words):
        return DataError("the loss is no number any more", "lower training.lr0, or look at the boxes of the dataset")
    return HandfulError(f"the training failed ({text.splitlines()[0] if text else type(error).__name__})")


@contextlib.contextmanager
def sigterm_raises() -> Iterator[None]:
    """Let SIGTERM end the process in the same orderly way as Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _: FrameType | None) -> None:
        raise Terminated(f"signal {number}")

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
