"""A real MLflow for all integration tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.mlflow_server import MlflowServer


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an MLflow server that all tests share: use names of your own for models and experiments."""
    server = MlflowServer(tmp_path_factory.mktemp("mlflow")).start()
    yield server.uri
    server.stop()
