"""An MLflow server with its database and its artifacts, which is backed up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from support.filled_mlflow import Filled
from support.mlflow_server import MlflowServer

BUCKET = "mlflow"


@dataclass
class Mlflow:
    """A server, its database and the place of its artifacts."""

    server: MlflowServer
    database: str
    artifacts: str
    filled: Filled | None = None
    """What is in it."""

    @property
    def exact(self) -> list[str]:
        """Options for the mode that reads the database."""
        return ["--database", self.database, "--artifacts", self.artifacts]

    @classmethod
    def embedded(cls, root: Path) -> Mlflow:
        """SQLite and a folder, not started yet."""
        return cls(MlflowServer(root), f"sqlite:///{root / 'mlflow.db'}", str(root / "artifacts"))


Handful = Callable[..., int]
