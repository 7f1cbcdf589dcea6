from __future__ import annotations

from collections.abc import Iterator

import pytest

from handful_core.registry.monitoring import REVIEW_PREFIX, MonitoringExperiments
from support.review_suite import ReviewSuite


class TestOnMlflow(ReviewSuite):
    @pytest.fixture
    def experiments(self, mlflow_server: str) -> Iterator[MonitoringExperiments]:
        with MonitoringExperiments(mlflow_server, timeout=60, prefix=REVIEW_PREFIX) as experiments:
            yield experiments
