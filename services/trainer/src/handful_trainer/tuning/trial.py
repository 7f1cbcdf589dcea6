"""One trial: a training whose validation result is reported epoch by epoch, and that ends early when it lags behind."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import Trial, TrialState

from handful_core.console import say
from handful_core.errors import HandfulError
from handful_trainer.config import TrainingConfig
from handful_trainer.config.loading import flatten
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.pipeline.run_folder import RunState, create_run
from handful_trainer.tasks.detection.train import fit, sigterm_raises
from handful_trainer.tracking import Tracker, open_tracker
from handful_trainer.tracking.mlflow_calls import start_run
from handful_trainer.tracking.reaper import RunReaper

METRIC = "val/mAP50_95"
_PARENT_TAG = "mlflow.parentRunId"
"""By this MLflow shows a run below another."""


def train_trial(
    trial: Trial,
    config: TrainingConfig,
    values: Mapping[str, Any],
    dataset: PreparedDataset,
    folder: Path,
    uri: str,
    experiment: str,
    parent: str,
    home: Path,
) -> tuple[TrialState, float | None]:
    """Train with a trial's settings.

    Returns:
        How it ended, and the best validation mAP@0.5:0.95 of its epochs; None where it failed or was pruned.
    """
    name = f"trial-{trial.number}"
    tags = {_PARENT_TAG: parent, "handful.kind": "trial", "dataset.fingerprint": dataset.fingerprint}
    run_id = start_run(uri, experiment, name, tags)
    run = create_run(folder, name, config)
    run.save(RunState(run_id=run_id, dataset=dataset.root, register_version=False))
    tracker = open_tracker(uri, run_id, run.journal)
    tracker.params({**flatten(config.model_dump(mode="json")), **{f"trial.{key}": v for key, v in values.items()}})
    watchdog = RunReaper(uri, run_id)
    status, scores = "KILLED", [0.0]

    def report(epoch: int, metrics: Mapping[str, float]) -> None:
        score = metrics.get(METRIC, 0.0)
        scores.append(score)
        trial.report(score, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned

    try:
        with sigterm_raises():
            fit(config, dataset.data_yaml, run, tracker, home, uri, resume=False, on_epoch=report)
        status = "FINISHED"
        return TrialState.COMPLETE, max(scores)
    except optuna.TrialPruned:
        tracker.tags({"pruned": f"after epoch {len(scores) - 1}"})
        say(f"{name} lags behind after epoch {len(scores) - 1} and is given up")
        return TrialState.PRUNED, None
    except HandfulError as error:
        status = "FAILED"
        tracker.tags({"failure": str(error)})
        say(f"{name} failed: {error}")
        return TrialState.FAIL, None
    finally:
        _end(tracker, watchdog, status)
        _drop_checkpoints(run.yolo / "weights", status)


def _end(tracker: Tracker, watchdog: RunReaper, status: str) -> None:
    tracker.status(status)
    watchdog.done() if tracker.close() else watchdog.status(status)


def _drop_checkpoints(weights: Path, status: str) -> None:
    """Dozens of trials would fill the disk; a finished one keeps its best weights."""
    for path in weights.glob("*.pt"):
        if path.name != "best.pt" or status != "FINISHED":
            path.unlink()
