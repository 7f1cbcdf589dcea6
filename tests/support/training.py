"""`handful train` and its kin, run as a user would, against a real MLflow."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

EPOCHS = 2


class Trainer:
    """Runs `handful train` as a user would, in an experiment of its own.

    Args:
        folder: for its configuration and what it writes.
        dataset: a YOLO dataset.
        uri: MLflow's address.
        content: of the configuration, in place of a small detector's.
        metric: that a run has for each epoch.
    """

    def __init__(
        self, folder: Path, dataset: Path, uri: str, content: dict[str, Any] | None = None, metric: str = "val/mAP50"
    ) -> None:
        self.home = folder / "var"
        self.dataset = dataset
        self.config = folder / "training.yaml"
        self.name = folder.name
        self.uri = uri
        self.environment = os.environ | {"HANDFUL_HOME": str(self.home), "HANDFUL_MLFLOW_URI": uri}
        self._processes: list[subprocess.Popen[str]] = []
        self._metric = metric
        content = content or {
            "dataset": {"source": "yolo", "path": str(dataset)},
            "training": {"epochs": EPOCHS, "imgsz": 64, "batch": 6, "workers": 0},
            "augmentation": {"mosaic": 0},
            "package": {"confidence": 0.01},
        }
        names = {"experiment": self.name, "model_name": self.name, "run_name": "run"}
        self.config.write_text(yaml.safe_dump({**content, "mlflow": names}))

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Another command of Handful, to its end."""
        command = [sys.executable, "-m", "handful_core", *words, "--json"]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=400)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """A training."""
        return self.popen([sys.executable, "-m", "handful_core", "train", "--json", *words])

    def popen(self, command: list[str]) -> subprocess.Popen[str]:
        """A command in a session of its own, ended with the test."""
        process = subprocess.Popen(
            command,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._processes.append(process)
        return process

    def finish(self, process: subprocess.Popen[str], seconds: float = 300) -> dict[str, Any]:
        out, err = process.communicate(timeout=seconds)
        assert process.returncode == 0, err
        result: dict[str, Any] = json.loads(out)
        return result

    def anew(self, *overrides: str) -> tuple[str, ...]:
        return ("--config", str(self.config), *(word for override in overrides for word in ("--set", override)))

    def wait_for(self, what: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 200) -> None:
        until = time.monotonic() + seconds
        while not what():
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < until, "it took too long"
            time.sleep(0.1)

    def mlflow_run(self) -> Run:
        client = MlflowClient(self.uri)
        experiment = client.get_experiment_by_name(self.name)
        assert experiment is not None
        (run,) = client.search_runs([experiment.experiment_id])
        return run

    def epochs_logged(self) -> list[int]:
        client = MlflowClient(self.uri)
        experiment = client.get_experiment_by_name(self.name)
        runs = client.search_runs([experiment.experiment_id]) if experiment else []
        return [m.step for m in client.get_metric_history(runs[0].info.run_id, self._metric)] if runs else []

    def end_all(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
