"""A server that is backed up, and the ways to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from support.filled_mlflow import Filled
from support.mlflow_server import MlflowServer

BUCKET = "mlflow"


@dataclass
class House:
    """A server with the words that let the exact way in."""

    server: MlflowServer
    database: str
    artifacts: str
    filled: Filled | None = None
    """What is in it."""

    @property
    def exact(self) -> list[str]:
        """Options."""
        return ["--database", self.database, "--artifacts", self.artifacts]

    @classmethod
    def embedded(cls, root: Path) -> House:
        """SQLite and a folder, not started yet."""
        return cls(MlflowServer(root), f"sqlite:///{root / 'mlflow.db'}", str(root / "artifacts"))


Handful = Callable[..., int]
