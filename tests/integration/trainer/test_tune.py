"""A search for better settings: nested runs, a kill in the middle, the best configuration."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
import yaml
from mlflow.tracking import MlflowClient
from optuna.trial import TrialState

from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.pipeline.job import TrainingJob
from handful_trainer.tasks.detection.settings import DetectionConfig
from handful_trainer.tasks.detection.task import UltralyticsEngine
from handful_trainer.tasks.engine import TrainingListener
from handful_trainer.tracking.mlflow_calls import find_experiment, start_run
from handful_trainer.tuning.trial import StudyContext, train_trial
from support.mlflow_server import MlflowServer
from support.training import Trainer

SEARCH = {"search": {"training.lr0": {"low": 0.001, "high": 0.01, "log": True}, "training.batch": {"choices": [4, 6]}}}


def _command(trainer: Trainer, search: Path, trials: int) -> list[str]:
    words = ["tune", "--config", str(trainer.config), "--search", str(search), "--name", trainer.name]
    settings = ["--set", "training.epochs=2", "--set", "training.optimizer=AdamW", "--set", "mlflow.tags={team: hands}"]
    settings += ["--trials", str(trials), "--json"]
    return [sys.executable, "-m", "handful_core", *words, *settings]


def _has_settings(trainer: Trainer, trial: str) -> bool:
    """Whether MLflow has what a trial tries: it is told beside the training."""
    client = MlflowClient(trainer.uri)
    experiment = client.get_experiment_by_name(trainer.name)
    runs = client.search_runs([experiment.experiment_id], f"attributes.run_name = '{trial}'") if experiment else []
    return any("trial.training.lr0" in run.data.params for run in runs)


def test_a_killed_search_goes_on_where_it_was(trainer: Trainer, tmp_path: Path) -> None:
    search = tmp_path / "search.yaml"
    search.write_text(yaml.safe_dump(SEARCH))
    trainer.home.mkdir()
    process = trainer.popen(_command(trainer, search, 2))
    trials = trainer.home / "tune" / trainer.name / "runs"
    trainer.wait_for((trials / "trial-1" / "yolo" / "args.yaml").exists, process)
    trainer.wait_for(lambda: _has_settings(trainer, "trial-1"), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()

    done = subprocess.run(
        _command(trainer, search, 2), env=trainer.environment, capture_output=True, text=True, check=False, timeout=400
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [trial["trial"] for trial in result["trials"]] == [0, 2]  # Trial 1 was killed and given up.
    assert set(result["best"]) == {"training.lr0", "training.batch"}
    best = yaml.safe_load(Path(result["config"]).read_text())
    assert best["training"]["lr0"] == result["best"]["training.lr0"]

    client = MlflowClient(trainer.uri)
    parent = client.get_run(result["run_id"])
    assert parent.info.status == "FINISHED"
    runs = client.search_runs([parent.info.experiment_id], f"tags.mlflow.parentRunId = '{result['run_id']}'")
    by_name = {run.info.run_name: run for run in runs}
    assert {run.data.tags["team"] for run in (parent, *runs)} == {"hands"}
    assert sorted(by_name) == ["trial-0", "trial-1", "trial-2"]
    assert {by_name[name].info.status for name in ("trial-0", "trial-2")} == {"FINISHED"}
    assert by_name["trial-1"].info.status == "KILLED"
    assert by_name["trial-2"].data.params["trial.training.lr0"] == by_name["trial-1"].data.params["trial.training.lr0"]


def test_a_trial_that_lags_behind_is_given_up(
    tmp_path: Path, dataset: Path, shared_server: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trainings are acted, all else is real."""
    scores = {1: [0.5, 0.6, 0.7], 2: [0.1, 0.2, 0.3]}

    def act(_: object, job: TrainingJob, listener: TrainingListener, *, resume: bool) -> None:
        for epoch, score in enumerate(scores[job.config.training.batch], start=1):
            listener.epoch(epoch, {UltralyticsEngine.validation_metric: score})

    monkeypatch.setattr(UltralyticsEngine, "train", act)
    uri = shared_server.uri
    experiment = find_experiment(uri, tmp_path.name)
    parent = start_run(uri, experiment, "search", {})
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=1))
    prepared = PreparedDataset.open(dataset)
    states = []
    for batch in (1, 2):
        trial = study.ask()
        config = _config(dataset, batch)
        context = StudyContext(prepared, tmp_path, tmp_path, uri, experiment, parent)
        state, score = train_trial(trial, config, {"x": batch}, context)
        study.tell(trial, score, state)
        states.append(state)
    assert states == [TrialState.COMPLETE, TrialState.PRUNED]
    assert study.best_value == 0.7
    runs = MlflowClient(uri).search_runs([experiment], f"tags.mlflow.parentRunId = '{parent}'")
    assert {run.info.run_name: run.info.status for run in runs} == {"trial-0": "FINISHED", "trial-1": "KILLED"}
    assert {run.info.run_name: run.data.tags.get("pruned") for run in runs}["trial-1"] == "after epoch 1"


def _config(dataset: Path, batch: int) -> DetectionConfig:
    content = {"dataset": {"source": "yolo", "path": str(dataset)}, "training": {"batch": batch}}
    return DetectionConfig.model_validate(content)


def test_a_search_of_what_is_no_setting(trainer: Trainer, tmp_path: Path) -> None:
    search = tmp_path / "search.yaml"
    search.write_text(yaml.safe_dump({"search": {"training.epoch": {"low": 0.1, "high": 0.2}}}))
    done = subprocess.run(
        _command(trainer, search, 1), env=trainer.environment, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 2
    assert done.stderr.strip() == "error: there is no setting training.epoch: did you mean training.epochs?"
