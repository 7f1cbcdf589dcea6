"""A search, trial by trial: every trial is a run below the search's own, and a killed search goes on."""

from __future__ import annotations

import logging
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.exceptions import UpdateFinishedTrialError
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
from handful_trainer.tuning.storage import OwnStorage, TrialStorage, open_shared
from handful_trainer.tuning.trial import StudyContext, train_trial

_PARENT = "handful.parent_run"
_FAILURES = 3
"""So many trials in a row that fail end the search: something is wrong with all of them."""
_REPEATS = 100
"""So often the sampler may suggest what was tried already."""
_POLL = 5.0
"""Seconds between two looks whether the other workers have ended theirs."""


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


def tune(
    config: TrainingConfig,
    search: SearchConfig,
    name: str,
    trials: int,
    home: Path,
    uri: str,
    storage_file: Path | None = None,
) -> StudyResult:
    """Search until there are so many trials, those of an earlier call by the same name included.

    Trials with the same settings are one: they would have the same score.

    Args:
        config: what is searched around.
        search: what is searched.
        name: of the search.
        trials: so many in all, of all workers.
        home: folder for datasets and runs.
        uri: MLflow's address.
        storage_file: file with the URL of a Postgres that several workers share; None for one worker alone.

    Raises:
        ConfigError: what is searched is no setting, or does nothing.
        ResourceError: a search of this name is running.
        DataError: no trial finished.
    """
    search = search.fitted(config)
    search.refuse_ineffective(config)
    shared = open_shared(storage_file) if storage_file else None
    config = resolve_alias(config, uri)
    folder = (home / "tune" / name).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with nullcontext() if shared else FileLock(folder / "lock", timeout=0):
            experiment = find_experiment(uri, config.mlflow.experiment)
            dataset = prepare(fetch_splits(config.dataset, home, uri), home, task=config.task)
            search.refuse_ineffective(config, dataset)
            engine_of(config.task).configure(home)
            storage = shared or OwnStorage(folder / "study.journal")
            study = _open(storage, name, config.training.seed)
            parent = _parent(study, storage, uri, experiment, config.mlflow.tags)
            context = StudyContext(dataset, folder, home, uri, experiment, parent)
            _Search(config, search, context, storage).go_on(study, trials)
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
    storage: TrialStorage

    def go_on(self, study: Study, trials: int) -> None:
        """Run what is missing. What other workers are at is not, unless they are killed."""
        failures = 0
        while True:
            self.storage.take_up_killed(study)
            done, elsewhere = len(_tried(study)), len(self.storage.running(study))
            if done >= trials:
                return
            trial = self._next(study, trials) if done + elsewhere < trials else None
            if trial is None and (elsewhere or self.storage.running(study) or len(_tried(study)) > done):
                time.sleep(_POLL)
                continue
            if trial is None:
                say(f"there are no more than {done} trials: all combinations were tried")
                return
            values = self.search.values(trial)
            say(f"trial {done + 1} of {trials}: {', '.join(f'{key} {value}' for key, value in values.items())}")
            state = self._run(study, trial, values)
            failures = failures + 1 if state == TrialState.FAIL else 0
            if failures == _FAILURES:
                raise DataError(f"{_FAILURES} trials in a row failed", "see their runs in MLflow")

    def _next(self, study: Study, trials: int) -> Trial | None:
        """A trial with settings that were not tried, or None if there are none for this worker."""
        tried = _tried(study) | {settings_of_trial(trial.params) for trial in self.storage.running(study)}
        for _ in range(_REPEATS):
            left = self.search.untried(tried)
            if left is not None and not left:
                return None
            trial = self.storage.ask(study)
            if _is_one_too_many(study, trial, trials):
                study.tell(trial, state=TrialState.FAIL)
                return None
            if settings_of_trial(self.search.values(trial)) not in tried:
                return trial
            study.tell(trial, state=TrialState.FAIL)
            if left:
                study.enqueue_trial(left[len(study.trials) % len(left)])
        return None

    def _run(self, study: Study, trial: Trial, values: dict[str, Any]) -> TrialState:
        try:
            with self.storage.at_work(trial):
                state, score = train_trial(trial, with_values(self.config, values), values, self.context)
            study.tell(trial, score, state, skip_if_finished=True)
        except UpdateFinishedTrialError:
            say(f"trial {trial.number} was given to another worker, as this one was not heard of")
            return TrialState.PRUNED
        return state


def _is_one_too_many(study: Study, trial: Trial, trials: int) -> bool:
    """Whether so many were begun before it: workers that ask at the same moment do not see each other's."""
    states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
    begun = [each for each in study.get_trials(deepcopy=False, states=states) if each.number < trial.number]
    running = sum(each.state == TrialState.RUNNING for each in begun)
    return len({settings_of_trial(each.params) for each in begun if each.state.is_finished()}) + running >= trials


def _open(storage: TrialStorage, name: str, seed: int) -> Study:
    optuna.logging.set_verbosity(logging.WARNING)
    study = optuna.create_study(
        storage=storage.optuna,
        study_name=name,
        direction="maximize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=2),
    )
    # A sampler that began anew with the same seed would suggest what it suggested before.
    study.sampler = optuna.samplers.TPESampler(seed=(seed + len(study.trials) + 1000 * storage.worker) % 2**32)
    return study


def _parent(study: Study, storage: TrialStorage, uri: str, experiment: str, tags: dict[str, str]) -> str:
    """The run above the trials', made once."""
    with storage.alone():
        known = study.user_attrs.get(_PARENT)
        if known is not None:
            return str(known)
        run_id = start_run(uri, experiment, study.study_name, provenance.run_tags() | tags | {"handful.kind": "tune"})
        with ended_on_error(uri, run_id):
            study.set_user_attr(_PARENT, run_id)
        return run_id


def _ended(study: Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def _tried(study: Study) -> set[Settings]:
    return {settings_of_trial(trial.params) for trial in _ended(study)}


def _finish(study: Study, config: TrainingConfig, context: StudyContext) -> StudyResult:
    from mlflow.tracking import MlflowClient

    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        raise DataError("no trial finished", "try more of them")
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
