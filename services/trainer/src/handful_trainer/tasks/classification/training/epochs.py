"""The epochs of a training: who is told, what is kept of them, and when it ends."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path
from typing import Any

import lightning

from handful_core.files import write_atomically
from handful_trainer.tasks.classification.network import write_weights
from handful_trainer.tasks.classification.settings import ClassificationConfig
from handful_trainer.tasks.classification.training.module import Classifier
from handful_trainer.tasks.engine import TrainingListener

BEST, TABLE, CURVES = "best.safetensors", "results.csv", "results.png"
_METRIC = "val/macro_f1"


class Epochs(lightning.Callback):
    """Tells a listener, keeps the best weights, and ends a training that gets no better.

    Args:
        listener: is told.
        folder: where weights and the table of epochs go.
        config: the training's settings.
    """

    def __init__(self, listener: TrainingListener, folder: Path, config: ClassificationConfig) -> None:
        self._listener, self._folder, self._config = listener, folder, config
        self._best = (-1.0, 0.0)
        self._best_epoch = 0
        self._began = 0.0
        self.history: list[dict[str, float]] = []

    def state_dict(self) -> dict[str, Any]:
        """What a training that goes on has to know: it is part of the checkpoint."""
        return {"best": list(self._best), "best_epoch": self._best_epoch, "history": self.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on."""
        first, second = state_dict["best"]
        self._best, self._best_epoch = (first, second), state_dict["best_epoch"]
        self.history = list(state_dict["history"])

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Classifier) -> None:
        """Say what is trained."""
        batches = int(trainer.num_training_batches)
        self._listener.started(
            _resolved(trainer, pl_module),
            batches=self._config.training.epochs * batches,
            done=trainer.current_epoch * batches,
        )

    def on_train_epoch_start(self, *_: object) -> None:
        """Note the time."""
        self._began = time.perf_counter()

    def on_train_batch_end(self, *_: object) -> None:
        """Tell of a batch."""
        self._listener.batch()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Classifier) -> None:
        """Keep the weights if they are the best: of the same macro F1, those of the lower loss."""
        number = trainer.current_epoch + 1
        metrics = {**pl_module.epoch_metrics, "epoch_seconds": time.perf_counter() - self._began}
        score = (metrics[_METRIC], -metrics["val/loss"])
        best = score > self._best
        if best:
            self._best, self._best_epoch = score, number
        self.history.append({"epoch": number, **metrics})
        if trainer.is_global_zero:
            if best:
                write_weights(pl_module.kept, pl_module.network, self._folder / BEST)
            write_atomically(self._folder / TABLE, _table(self.history))
        self._listener.epoch(number, metrics)
        trainer.should_stop = trainer.should_stop or out_of_patience(self._config, number, self._best_epoch)


def out_of_patience(config: ClassificationConfig, epoch: int, best: int) -> bool:
    """Were there so many epochs without a better one? Those of the last layer alone do not count."""
    patience = config.training.patience
    return 0 < patience <= epoch - max(best, config.training.head_alone)


def _resolved(trainer: lightning.Trainer, classifier: Classifier) -> dict[str, Any]:
    """What settings became."""
    network = classifier.network
    return {
        "lightning.device": str(trainer.strategy.root_device),
        "lightning.devices": trainer.world_size,
        "lightning.precision": trainer.precision,
        "lightning.workers": trainer.train_dataloader.num_workers if trainer.train_dataloader else 0,
        "timm.parameters": sum(parameter.numel() for parameter in classifier.module.parameters()),
        "timm.mean": network.mean,
        "timm.std": network.std,
    }


def _table(history: list[dict[str, float]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()


def write_curves(history: list[dict[str, float]], path: Path) -> None:
    """Draw losses and metrics by epoch."""
    from matplotlib.figure import Figure

    figure = Figure((10, 4), layout="constrained")
    epochs = [row["epoch"] for row in history]
    for axes, names in zip(figure.subplots(1, 2), (("train/loss", "val/loss"), (_METRIC, "val/accuracy")), strict=True):
        for name in names:
            axes.plot(epochs, [row[name] for row in history], marker=".", label=name)
        axes.set_xlabel("epoch")
        axes.legend()
    figure.savefig(path)
