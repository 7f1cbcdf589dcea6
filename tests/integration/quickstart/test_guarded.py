from __future__ import annotations

import os
import time
from pathlib import Path

import psutil
import pytest

from handful_core.errors import HandfulError
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.quickstart.guarded import Guarded
from handful_trainer.quickstart.plan import Plan
from handful_trainer.quickstart.training import train
from handful_trainer.tasks.detection.settings import DetectionConfig


def test_what_does_not_end_in_peace_ends_by_force(plan: Plan, tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        process = Guarded("fakes.stubborn", [], os.environ, tmp_path, log, patience=0.5)
    until = time.monotonic() + 30
    while "ready" not in (tmp_path / "log").read_text():
        assert time.monotonic() < until
        time.sleep(0.05)
    family = process.processes()
    assert len(family) == 2
    process.end()
    _, alive = psutil.wait_procs(family, timeout=0)
    assert alive == []


def test_a_training_that_fails_is_told_with_its_code(plan: Plan, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(HandfulError, match="the training ended with code 2: its own line above says why"):
        train(plan, DetectionConfig(dataset=DatasetConfig(source="sample")))
    assert "error: the configuration file none does not exist" in capfd.readouterr().err
