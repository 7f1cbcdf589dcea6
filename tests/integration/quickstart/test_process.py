from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from handful_core.errors import HandfulError
from handful_quickstart.plan import Plan
from handful_quickstart.ports import is_free
from handful_quickstart.process import ChildProcess
from handful_quickstart.run import train
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.tasks.detection.settings import DetectionConfig
from support.mlflow_server import free_port


def test_what_ignores_sigterm_is_killed(plan: Plan, tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        process = ChildProcess("shell", ["exec python -m fakes.stubborn"], os.environ, tmp_path, log, stop_seconds=0.5)
    until = time.monotonic() + 30
    while "ready" not in (tmp_path / "log").read_text():
        assert time.monotonic() < until
        time.sleep(0.05)
    tree = process.tree()
    assert len(tree) == 3
    process.stop()
    _, alive = psutil.wait_procs(tree, timeout=0)
    assert alive == []


_PARENT = """
import os, sys, time
from pathlib import Path
from handful_quickstart.ports import is_free
from handful_quickstart.process import ChildProcess
child = ChildProcess("handful", ["serve", "--port", sys.argv[1]], os.environ, Path.cwd())
time.sleep(600)
"""


def test_a_handful_command_ends_when_its_parent_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDFUL_HOME", str(tmp_path))
    port = free_port()
    with subprocess.Popen([sys.executable, "-c", _PARENT, str(port)], stderr=subprocess.DEVNULL) as parent:
        until = time.monotonic() + 60
        while is_free(port):
            assert time.monotonic() < until
            time.sleep(0.2)
        children = psutil.Process(parent.pid).children(recursive=True)
        parent.kill()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert alive == []


def test_a_training_that_fails_is_told_with_its_code(plan: Plan, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(HandfulError, match="the training ended with code 2: its own line above says why"):
        train(plan, DetectionConfig(dataset=DatasetConfig(source="sample")))
    assert "error: the configuration file none does not exist" in capfd.readouterr().err
