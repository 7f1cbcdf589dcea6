from __future__ import annotations

from collections.abc import Iterator

import pytest

from handful_core.registry.monitoring import MonitoringExperiments
from support.monitoring_suite import MonitoringSuite


class TestOnMlflow(MonitoringSuite):
    @pytest.fixture
    def experiments(self, mlflow_server: str) -> Iterator[MonitoringExperiments]:
        with MonitoringExperiments(mlflow_server, timeout=60) as experiments:
            yield experiments
