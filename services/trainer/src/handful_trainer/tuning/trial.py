"""One trial: a training whose validation result is reported epoch by epoch, and that ends early when it lags behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import Trial, TrialState

from handful_core.console import say
from handful_core.errors import HandfulError
from handful_trainer.config import TrainingConfig
from handful_trainer.config.loading import flatten, settings_of
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.pipeline.job import TrainingJob
from handful_trainer.pipeline.listener import RunListener
from handful_trainer.pipeline.run_folder import RunState, create_run
from handful_trainer.pipeline.signals import sigterm_raises
from handful_trainer.tracking import Tracker
from handful_trainer.tracking.managed_run import KILLED, managed_run
from handful_trainer.tracking.mlflow_calls import ended_on_error, start_run

_PARENT_TAG = "mlflow.parentRunId"
"""By this MLflow shows a run below another."""


@dataclass(frozen=True, slots=True)
class StudyContext:
    """What all trials of a study share."""

    dataset: PreparedDataset
    folder: Path
    """The study's own."""
    home: Path
    uri: str
    """MLflow's address."""
    experiment: str
    """Its id."""
    parent: str
    """The run above the trials'."""


def train_trial(
    trial: Trial, config: TrainingConfig, values: Mapping[str, Any], study: StudyContext
) -> tuple[TrialState, float | None]:
    """Train with a trial's settings.

    Returns:
        How it ended, and the best validation result of its epochs; None where it failed or was pruned.
    """
    name = f"trial-{trial.number}"
    own = {_PARENT_TAG: study.parent, "handful.kind": "trial", "dataset.fingerprint": study.dataset.fingerprint}
    tags = config.mlflow.tags | own
    run_id = start_run(study.uri, study.experiment, name, tags)
    with ended_on_error(study.uri, run_id):
        run = create_run(study.folder, name, config)
        run.save(RunState(run_id=run_id, dataset=study.dataset.root, register_version=False))
    job = TrainingJob(config, study.dataset, run, study.home, study.uri)
    finished = False
    try:
        with managed_run(study.uri, run_id, run.journal, killed_by=(*KILLED, optuna.TrialPruned)) as tracker:
            tracker.params({**flatten(settings_of(config)), **{f"trial.{key}": v for key, v in values.items()}})
            score = _train(trial, job, tracker)
        finished = True
    except optuna.TrialPruned as pruned:
        say(f"{name} lags behind {pruned} and is given up")
        return TrialState.PRUNED, None
    except HandfulError as error:
        say(f"{name} failed: {error}")
        return TrialState.FAIL, None
    finally:
        # Dozens of trials would fill the disk.
        job.engine.discard_checkpoints(run.path, keep_best=finished)
    return TrialState.COMPLETE, score


def _train(trial: Trial, job: TrainingJob, tracker: Tracker) -> float:
    """The best validation result of all epochs.

    Raises:
        TrialPruned: it lags behind the others.
    """
    metric, scores = job.engine.validation_metric, [0.0]

    def report(epoch: int, metrics: Mapping[str, float]) -> None:
        scores.append(metrics.get(metric, 0.0))
        trial.report(scores[-1], epoch)
        if trial.should_prune():
            tracker.tags({"pruned": f"after epoch {epoch}"})
            raise optuna.TrialPruned(f"after epoch {epoch}")

    listener = RunListener(tracker, job.config.training.epochs, metric, on_epoch=report)
    with sigterm_raises(), listener:
        job.engine.train(job, listener, resume=False)
    return max(scores)
