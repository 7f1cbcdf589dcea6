"""Brings closed segments to MLflow, and removes there what is too old."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from datetime import date, timedelta

from handful_core.errors import HandfulError, NotFoundError, UnavailableError
from handful_core.registry.monitoring import (
    DAY,
    KIND,
    PREDICTION_LOG,
    REPLICA,
    MonitoringExperiments,
    MonitoringRun,
)
from handful_serving.adapters.prediction_log.spool import Segment
from handful_serving.adapters.trusted_day import TrustedDay

_log = logging.getLogger(__name__)
_FOLDER = "log"
_REMOVAL_SECONDS = 3600


class Shipper:
    """Ships segments: one run of MLflow holds those of a model, replica and day.

    Uploading is idempotent, since a segment's name is unique for ever: killed between an upload and the removal of the
    local file, the next process uploads the same bytes to the same place.

    Args:
        experiments: MLflow's.
        days: how long a run stays; 0 for ever.
    """

    def __init__(self, experiments: MonitoringExperiments, days: int) -> None:
        self._experiments = experiments
        self._days = days
        self._runs: dict[tuple[str, str, str], MonitoringRun] = {}
        """By model, replica and day."""
        self._told: set[str] = set()
        self._day = TrustedDay(experiments)
        self._removed_at: float | None = None
        self.shipped = 0
        """Segments."""

    def close(self) -> None:
        """Close the connections."""
        self._experiments.close()

    def ship(self, segments: Iterable[Segment]) -> None:
        """Upload segments and remove them here.

        What MLflow refuses stays here, and is told once.

        Raises:
            UnavailableError: MLflow does not answer: what was not uploaded stays.
        """
        for segment in segments:
            try:
                self._upload(segment)
            except UnavailableError:
                raise
            except HandfulError as error:
                self._runs.clear()  # A run or an experiment may have been deleted.
                self._tell(f"the prediction log of {segment.model} stays on this machine: {error}")
            except FileNotFoundError:
                continue  # It had to go for newer ones meanwhile.
            else:
                segment.path.unlink(missing_ok=True)
                self.shipped += 1

    def remove_old(self) -> None:
        """Delete the runs of past days, of all models and replicas; once an hour.

        Raises:
            UnavailableError: MLflow does not answer.
        """
        now = time.monotonic()
        if not self._days or (self._removed_at is not None and now - self._removed_at < _REMOVAL_SECONDS):
            return
        self._removed_at = now
        today = self._trusted_today()
        if today is None:
            return
        first = (today - timedelta(days=self._days)).isoformat()
        for model in self._experiments.models():
            try:
                self._remove(model, first)
            except UnavailableError:
                raise
            except HandfulError as error:
                self._tell(f"old prediction logs of {model} stay in MLflow: {error}")

    def _upload(self, segment: Segment) -> None:
        content = segment.path.read_bytes()
        try:
            self._run(segment).upload(f"{_FOLDER}/{segment.path.name}", content)
        except NotFoundError:
            self._runs.pop(_key(segment), None)
            self._run(segment).upload(f"{_FOLDER}/{segment.path.name}", content)

    def _run(self, segment: Segment) -> MonitoringRun:
        key = _key(segment)
        if key not in self._runs:
            tags = {KIND: PREDICTION_LOG, REPLICA: segment.replica, DAY: segment.day}
            run = next(self._experiments.runs(segment.model, tags), None)
            if run is None:
                name = f"log of {segment.replica}, {segment.day}"
                run = self._experiments.create(segment.model, name, tags)
                run.end()  # It would say RUNNING for ever if this server is killed.
            self._runs = {known: kept for known, kept in self._runs.items() if known[2] == segment.day}
            self._runs[key] = run
        return self._runs[key]

    def _remove(self, model: str, first: str) -> None:
        for run in list(self._experiments.runs(model, {KIND: PREDICTION_LOG})):
            if run.tags.get(DAY, first) < first:
                run.delete()
                _log.info("the prediction log of %s of %s was removed from MLflow", model, run.tags[DAY])

    def _trusted_today(self) -> date | None:
        if self._day.was_set:
            self._tell("this machine's clock was set: old prediction logs stay in MLflow until the next start")
        return self._day.today()

    def _tell(self, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            _log.warning("%s", message)


def _key(segment: Segment) -> tuple[str, str, str]:
    return segment.model, segment.replica, segment.day
