"""An MLflow in memory, and the log's way to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.registry import FakeMlflow
from handful_core.registry.monitoring import MonitoringExperiments
from handful_serving.adapters.prediction_log.shipper import Shipper
from handful_serving.adapters.prediction_log.spool import Spool
from support.log_rows import MEGABYTE


@pytest.fixture
def mlflow() -> FakeMlflow:
    return FakeMlflow()


@pytest.fixture
def shipper(mlflow: FakeMlflow) -> Shipper:
    return Shipper(MonitoringExperiments("http://mlflow", attempts=1, transport=mlflow.transport()), days=30)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path, MEGABYTE, "one")
    yield spool
    spool.close()
