"""A search, trial by trial: every trial is a run below the search's own, and a killed search goes on."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from handful_core.console import say
from handful_core.errors import DataError, ResourceError
from handful_trainer.config import TrainingConfig, to_yaml, with_values
from handful_trainer.dataset.preparation.prepare import prepare
from handful_trainer.pipeline import provenance
from handful_trainer.pipeline.kept_splits import fetch_splits
from handful_trainer.pipeline.weights import resolve_alias
from handful_trainer.tasks import engine_of
from handful_trainer.tracking.mlflow_calls import ended_on_error, find_experiment, start_run
from handful_trainer.tuning.search import SearchConfig, Settings, settings_of_trial
from handful_trainer.tuning.trial import StudyContext, train_trial

_PARENT, _ADDED = "handful.parent_run", "handful.enqueued_again"
_FAILURES = 3
"""So many trials in a row that fail end the search: something is wrong with all of them."""
_REPEATS = 100
"""So often the sampler may suggest what was tried already."""


@dataclass(frozen=True, slots=True)
class StudyResult:
    """What a search found."""

    name: str
    run_id: str
    """The run above the trials'."""
    best: dict[str, Any]
    """The settings that were best."""
    metric: str
    """What was maximised: a validation metric, as the trials' runs carry it."""
    score: float
    """The best that there was."""
    config: Path
    """The whole configuration with them, ready for `handful train`."""
    trials: list[dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """What `handful tune --json` prints."""
        return {
            "name": self.name,
            "run_id": self.run_id,
            "metric": self.metric,
            "score": self.score,
            "best": self.best,
            "config": str(self.config),
            "trials": self.trials,
        }


def tune(config: TrainingConfig, search: SearchConfig, name: str, trials: int, home: Path, uri: str) -> StudyResult:
    """Search until there are so many trials, those of an earlier call by the same name included.

    Trials with the same settings are one: they would have the same score.

    Raises:
        ConfigError: what is searched is no setting, or does nothing.
        ResourceError: a search of this name is running.
        DataError: no trial came to an end.
    """
    search = search.fitted(config)
    search.refuse_ineffective(config)
    config = resolve_alias(config, uri)
    folder = (home / "tune" / name).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "lock", timeout=0):
            experiment = find_experiment(uri, config.mlflow.experiment)
            dataset = prepare(fetch_splits(config.dataset, home, uri), home, task=config.task)
            search.refuse_ineffective(config, dataset)
            engine_of(config.task).configure(home)
            study = _open(folder, name, config.training.seed)
            parent = _parent(study, uri, experiment, name, config.mlflow.tags)
            context = StudyContext(dataset, folder, home, uri, experiment, parent)
            _Search(config, search, context).go_on(study, trials)
            return _finish(study, config, context)
    except Timeout:
        raise ResourceError(
            f"a search called {name} is running already", "wait for it, or give another --name"
        ) from None


@dataclass(frozen=True, slots=True)
class _Search:
    config: TrainingConfig
    search: SearchConfig
    context: StudyContext

    def go_on(self, study: Study, trials: int) -> None:
        """Run what is missing."""
        _take_up_killed(study)
        failures = 0
        while (done := len(_tried(study))) < trials:
            trial = self._next(study)
            if trial is None:
                say(f"there are no more than {done} trials: all combinations were tried")
                return
            values = self.search.values(trial)
            say(f"trial {done + 1} of {trials}: {', '.join(f'{key} {value}' for key, value in values.items())}")
            state, score = self._run(trial, values)
            study.tell(trial, score, state)
            failures = failures + 1 if state == TrialState.FAIL else 0
            if failures == _FAILURES:
                raise DataError(f"{_FAILURES} trials in a row failed", "see their runs in MLflow")

    def _next(self, study: Study) -> Trial | None:
        """A trial with settings that were not tried, or None if there are none."""
        tried = _tried(study)
        for _ in range(_REPEATS):
            left = self.search.untried(tried)
            if left is not None and not left:
                return None
            trial = study.ask()
            if settings_of_trial(self.search.values(trial)) not in tried:
                return trial
            study.tell(trial, state=TrialState.FAIL)
            if left:
                study.enqueue_trial(left[len(study.trials) % len(left)])
        return None

    def _run(self, trial: Trial, values: dict[str, Any]) -> tuple[TrialState, float | None]:
        return train_trial(trial, with_values(self.config, values), values, self.context)


def _open(folder: Path, name: str, seed: int) -> Study:
    optuna.logging.set_verbosity(logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(folder / "study.journal")))
    study = optuna.create_study(
        storage=storage,
        study_name=name,
        direction="maximize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=2),
    )
    # A sampler that began anew with the same seed would suggest what it suggested before.
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))
    return study


def _parent(study: Study, uri: str, experiment: str, name: str, tags: dict[str, str]) -> str:
    """The run above the trials', made once."""
    known = study.user_attrs.get(_PARENT)
    if known is not None:
        return str(known)
    run_id = start_run(uri, experiment, name, provenance.run_tags() | tags | {"handful.kind": "tune"})
    with ended_on_error(uri, run_id):
        study.set_user_attr(_PARENT, run_id)
    return run_id


def _take_up_killed(study: Study) -> None:
    """A trial that a kill left running is given up, and its settings are tried again."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params, user_attrs={_ADDED: trial.number})


def _ended(study: Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def _tried(study: Study) -> set[Settings]:
    return {settings_of_trial(trial.params) for trial in _ended(study)}


def _finish(study: Study, config: TrainingConfig, context: StudyContext) -> StudyResult:
    from mlflow.tracking import MlflowClient

    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        raise DataError("no trial came to an end", "try more of them")
    metric = engine_of(config.task).validation_metric
    target = context.folder / "best.yaml"
    target.write_text(to_yaml(with_values(config, study.best_params)), encoding="utf-8")
    client = MlflowClient(context.uri)
    client.log_artifact(context.parent, str(target))
    client.log_metric(context.parent, f"best/{metric}", study.best_value)
    client.set_terminated(context.parent)
    rows = [
        {"trial": t.number, "state": t.state.name.lower(), "score": t.value, "values": t.params} for t in _ended(study)
    ]
    return StudyResult(study.study_name, context.parent, study.best_params, metric, study.best_value, target, rows)
