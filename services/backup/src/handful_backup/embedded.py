"""The embedded MLflow below `HANDFUL_HOME`: its database and its artifacts, whether it runs or not."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from handful_core.errors import ConfigError, HandfulError

_NEW = "mlflow.db.new"


class EmbeddedMlflow:
    """The MLflow that `scripts/quickstart` and `scripts/serve --embedded` run.

    Args:
        home: `HANDFUL_HOME`.
    """

    def __init__(self, home: Path) -> None:
        self._folder = home / "mlflow"
        self.database = self._folder / "mlflow.db"
        self.artifacts = self._folder / "artifacts"

    @property
    def url(self) -> str:
        """The database's URL."""
        return f"sqlite:///{self.database}"

    def create(self) -> None:
        """Make the database where there is none: MLflow's tables with nothing in them.

        Raises:
            ConfigError: MLflow is not installed.
            HandfulError: MLflow cannot make it.
        """
        if self.database.is_file():
            return
        if find_spec("mlflow") is None:
            raise ConfigError("MLflow is not installed here", "run scripts/import --embedded, which installs it")
        self._folder.mkdir(parents=True, exist_ok=True)
        new = self._folder / _NEW
        new.unlink(missing_ok=True)  # Of one that was killed.
        words = [sys.executable, "-m", "mlflow", "db", "upgrade", f"sqlite:///{new}"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
            raise HandfulError(f"MLflow cannot make its database ({last})", f"look at {self._folder}")
        new.replace(self.database)


def installed_mlflow() -> str:
    """The version of MLflow that is installed; empty if none is."""
    try:
        return version("mlflow")
    except PackageNotFoundError:
        return ""
