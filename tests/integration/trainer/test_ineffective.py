"""A setting that does nothing ends `train`, `--dry-run` and `tune` before anything is trained."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from support.training import Trainer


def _run(trainer: Trainer, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "handful_core", *words],
        env=trainer.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


@pytest.mark.parametrize("command", ["train", "dry-run", "tune"])
def test_it_ends_with_one_line(trainer: Trainer, tmp_path: Path, command: str) -> None:
    search = tmp_path / "search.yaml"
    search.write_text("search: {training.batch: {choices: [4, 6]}}\n")
    words = {"train": ["train"], "dry-run": ["train", "--dry-run"], "tune": ["tune", "--search", str(search)]}[command]
    done = _run(trainer, *words, "--config", str(trainer.config), "--set", "training.lr0=0.001")
    assert done.returncode == 2
    assert done.stderr == (
        "error: training.lr0 does nothing: training.optimizer is auto, which sets the learning rate itself: "
        "name an optimizer, such as AdamW, or leave it out\n"
    )
    assert not trainer.home.exists()


def test_what_needs_the_dataset_ends_before_the_first_trial(trainer: Trainer, tmp_path: Path) -> None:
    search = tmp_path / "search.yaml"
    search.write_text("search: {training.momentum: {low: 0.8, high: 0.95}}\n")
    done = _run(trainer, "tune", "--config", str(trainer.config), "--search", str(search), "--name", trainer.name)
    assert done.returncode == 2
    assert "error: training.momentum does nothing: training.optimizer is auto, which takes AdamW" in done.stderr
    assert not MlflowClient(trainer.uri).search_runs(
        [MlflowClient(trainer.uri).get_experiment_by_name(trainer.name).experiment_id]
    )
