from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.prometheus import ALERTMANAGER, MISSING, PROMETHEUS
from support.watched import Watched, watching


@pytest.fixture(scope="session")
def watched(mlflow_server: str, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A loaded server and all that watches it."""
    if not (PROMETHEUS and ALERTMANAGER):
        pytest.skip(MISSING)
    with watching(tmp_path_factory.mktemp("watched"), mlflow_server, repository / "configs" / "monitoring") as running:
        yield running
