"""Which day it is, for what is removed by its age: a clock that somebody set wrong must not cost data."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta

from handful_core.registry.monitoring import MonitoringExperiments

_MOST_DRIFT = timedelta(hours=1)
"""A clock that moved by more against time itself was set: nothing is removed by it."""


class TrustedDay:
    """This machine's clock and MLflow's, since the process began.

    Args:
        experiments: MLflow's.
    """

    def __init__(self, experiments: MonitoringExperiments) -> None:
        self._experiments = experiments
        self._began = (datetime.now(UTC), time.monotonic())

    @property
    def was_set(self) -> bool:
        """Whether this machine's clock was set meanwhile."""
        clock, counter = self._began
        drift = datetime.now(UTC) - clock - timedelta(seconds=time.monotonic() - counter)
        return abs(drift) > _MOST_DRIFT

    def today(self) -> date | None:
        """The earlier of MLflow's day and this machine's; None if this machine's clock was set meanwhile.

        Raises:
            UnavailableError: MLflow does not answer.
        """
        if self.was_set:
            return None
        server = self._experiments.server_time()
        return None if server is None else min(server, datetime.now(UTC)).date()
