"""A model that is watched, with a real MLflow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.watched_model import WatchedModel


@pytest.fixture
def served(mlflow_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WatchedModel]:
    """A registered version, and the environment of the commands."""
    monkeypatch.setenv("HANDFUL_MLFLOW_URI", mlflow_server)
    found = WatchedModel(mlflow_server, tmp_path)
    monkeypatch.setenv("HANDFUL_HOME", str(found.home))
    with found.registry, found.experiments:
        yield found
