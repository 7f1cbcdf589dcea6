"""Whom an engine tells how its training goes: the run in MLflow, and the bar on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from handful_core.console import progress
from handful_trainer.tasks.engine import OnEpoch
from handful_trainer.tracking import Tracker


class RunListener:
    """Logs every epoch and shows the progress.

    Args:
        tracker: takes parameters and metrics.
        epochs: of the whole training.
        metric: what is shown beside the bar, by the name that the run carries: val/mAP50_95.
        log_params: log the engine's own settings. Not for a training that goes on: MLflow lets nobody change a
            parameter, and engines resolve some otherwise then.
        on_epoch: gets every epoch's number, from 1, and its metrics; what it raises ends the training.
    """

    def __init__(
        self, tracker: Tracker, epochs: int, metric: str, *, log_params: bool = True, on_epoch: OnEpoch | None = None
    ) -> None:
        self._tracker = tracker
        self._epochs = epochs
        self._metric = metric
        self._log_params = log_params
        self._on_epoch = on_epoch
        self._bar = progress()
        self._task = self._bar.add_task("training", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def started(self, params: Mapping[str, Any], batches: int, done: int) -> None:
        """The training begins."""
        if self._log_params:
            self._tracker.params(params)
        self._bar.update(self._task, total=batches, completed=done)

    def batch(self) -> None:
        """A batch is over."""
        self._bar.advance(self._task)

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """An epoch is over."""
        self._tracker.metrics(metrics, step=number)
        if self._on_epoch is not None:
            self._on_epoch(number, metrics)
        name = self._metric.removeprefix("val/")
        score = metrics.get(self._metric, 0.0)
        self._bar.update(self._task, description=f"epoch {number}/{self._epochs}  {name} {score:.3f}")
