"""What travels together on the way from a configuration to a champion."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from handful_trainer.config import TrainingConfig
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.pipeline.run_folder import RunFolder
from handful_trainer.pipeline.torchrun import ProcessGroup
from handful_trainer.tasks import engine_of, get_task
from handful_trainer.tasks.base import Task
from handful_trainer.tasks.engine import Engine


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """A training: what is trained, on what, where it writes."""

    config: TrainingConfig
    dataset: PreparedDataset
    folder: RunFolder
    """Checkpoints, plots, package, journal."""
    home: Path
    """Handful's folder: weights that are downloaded go there."""
    uri: str
    """MLflow's address."""
    group: ProcessGroup | None = None
    """The processes that train it together; None for one alone, or those that an engine starts by itself."""

    @property
    def task(self) -> Task:
        """The kind of model."""
        return get_task(self.config.task)

    @property
    def engine(self) -> Engine:
        """What trains it."""
        return engine_of(self.config.task)
