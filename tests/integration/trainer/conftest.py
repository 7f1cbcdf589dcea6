"""A small dataset, an MLflow server, and a trainer that runs against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import pytest

from fakes.squares import SCENES, write_squares
from support.mlflow_server import MlflowServer
from support.training import Trainer


@pytest.fixture(scope="package")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_squares(tmp_path_factory.mktemp("data") / "squares", SCENES)


@pytest.fixture(scope="package")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    server = MlflowServer(tmp_path_factory.mktemp("mlflow")).start()
    yield server
    server.stop()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[MlflowServer]:
    """For a test that takes it down. What MLflow's functions were told of it in this process is forgotten, too."""
    server = MlflowServer(tmp_path / "mlflow").start()
    yield server
    mlflow.set_tracking_uri("")
    mlflow.set_registry_uri("")
    server.stop()


@pytest.fixture
def make_trainer(tmp_path: Path, dataset: Path) -> Iterator[Callable[[str], Trainer]]:
    made: list[Trainer] = []

    def make(uri: str) -> Trainer:
        made.append(Trainer(tmp_path, dataset, uri))
        return made[-1]

    yield make
    for trainer in made:
        trainer.end_all()


@pytest.fixture
def trainer(make_trainer: Callable[[str], Trainer], shared_server: MlflowServer) -> Trainer:
    return make_trainer(shared_server.uri)
