"""The checkpoint that a training goes on from."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from handful_core.console import say
from handful_core.files import open_atomically
from handful_trainer.tasks.classification.settings import ClassificationConfig
from handful_trainer.tasks.classification.training.epochs import out_of_patience

LAST = "last.ckpt"


class WholeFiles(TorchCheckpointIO):
    """Writes checkpoints in one step.

    Lightning's own way goes by the folder of temporary files: from there a file is copied to another disk, piece by
    piece, over the checkpoint that was there. A training that is killed meanwhile would have none.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write all that Lightning says of a training."""
        del storage_options
        with open_atomically(Path(path), durable=True) as file:
            torch.save(checkpoint, file)


@dataclass(frozen=True, slots=True)
class LastCheckpoint:
    """What a stopped training left."""

    path: Path
    epochs_done: int
    best_epoch: int

    def ended(self, config: ClassificationConfig) -> bool:
        """Was its last epoch trained?"""
        return self.epochs_done >= config.training.epochs or out_of_patience(config, self.epochs_done, self.best_epoch)


def last_checkpoint(path: Path) -> LastCheckpoint | None:
    """The last checkpoint; None if there is none, or it cannot be read."""
    try:
        content: Mapping[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return LastCheckpoint(path, int(content["epoch"]) + 1, int(content["callbacks"]["Epochs"]["best_epoch"]))
    except FileNotFoundError:
        return None
    except (OSError, RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
        say(f"{path} is damaged ({type(error).__name__}) and left aside")
        return None
