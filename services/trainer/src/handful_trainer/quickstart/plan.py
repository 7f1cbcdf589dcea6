"""What a quickstart is to do, and the environment that its processes get."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LOCAL = "127.0.0.1"
PROCFILE = "Procfile"
_OF_OTHERS = ("MLFLOW_", "HANDFUL_BACKUP_")
"""How settings of another MLflow begin: its own, and those by which a backup or an import reaches its database."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A quickstart.

    Attributes:
        folder: Handful's own folder, where the Procfile is.
        home: where all that is written goes.
        config: the training's configuration file.
        port: of the API and the dashboard.
        mlflow_port: of MLflow.
        retrain: train although a champion serves already.
        stay: keep the servers up until Ctrl-C.
    """

    folder: Path
    home: Path
    config: Path
    port: int
    mlflow_port: int
    retrain: bool = False
    stay: bool = True

    @property
    def api(self) -> str:
        """Address of the API and the dashboard."""
        return f"http://{LOCAL}:{self.port}"

    @property
    def mlflow(self) -> str:
        """Address of MLflow."""
        return f"http://{LOCAL}:{self.mlflow_port}"

    @property
    def logs(self) -> Path:
        """Folder of the servers' logs."""
        return self.home / "log"

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """The environment of the servers and the training: the Procfile's commands need no options.

        MLflow keeps its database and files below the home folder, without the job runners that Handful has no use for
        (they take 0.7 GB), and does not phone home. What the user set for another MLflow does not reach this one.
        """
        kept = {name: value for name, value in inherited.items() if not name.upper().startswith(_OF_OTHERS)}
        store = self.home / "mlflow"
        return kept | {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), *filter(None, [kept.get("PATH")])]),
            "PYTHONUNBUFFERED": "1",
            "HANDFUL_HOME": str(self.home),
            "HANDFUL_MLFLOW_URI": self.mlflow,
            "HANDFUL_SERVER": self.api,
            "HANDFUL_SERVING_HOST": LOCAL,
            "HANDFUL_SERVING_PORT": str(self.port),
            "MLFLOW_HOST": LOCAL,
            "MLFLOW_PORT": str(self.mlflow_port),
            "MLFLOW_WORKERS": "1",
            "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{store / 'mlflow.db'}",
            "MLFLOW_ARTIFACTS_DESTINATION": str(store / "artifacts"),
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
