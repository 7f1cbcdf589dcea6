"""Brings captured pictures to MLflow, and removes there what nobody reviewed in time."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from handful_core.errors import HandfulError, UnavailableError
from handful_core.review import ReviewStore
from handful_serving.adapters.capture.spool import WaitingPicture
from handful_serving.adapters.trusted_day import TrustedDay

_log = logging.getLogger(__name__)
_REMOVAL_SECONDS = 3600


class Courier:
    """Adds pictures to the store. What was deleted there meanwhile is removed here, too.

    Args:
        store: MLflow's.
        day: which day it is.
        days: how long a picture waits for a review; 0 for ever.
    """

    def __init__(self, store: ReviewStore, day: TrustedDay, days: int) -> None:
        self._store = store
        self._day = day
        self._days = days
        self._told: set[str] = set()
        self._removed_at: float | None = None
        self.delivered = 0
        """Pictures."""
        self.damaged = 0
        """Pictures that could not be read again, and were removed."""

    def close(self) -> None:
        """Close the connections."""
        self._store.close()

    def deliver(self, waiting: Iterable[WaitingPicture]) -> None:
        """Add pictures, and remove them here.

        Raises:
            UnavailableError: MLflow does not answer: what was not added stays.
            OSError: some could not be read or removed; all others are delivered.
        """
        trouble: OSError | None = None
        for each in waiting:
            try:
                self._deliver_one(each)
            except OSError as error:
                trouble = trouble or error
        if trouble is not None:
            raise trouble

    def _deliver_one(self, waiting: WaitingPicture) -> None:
        found = waiting.read()
        if found is None:
            self._tell(f"the captured picture {waiting.record.stem} is damaged, and is removed")
            waiting.remove()
            self.damaged += 1
            return
        picture, jpeg = found
        if self._is_too_old(picture.day):
            waiting.remove()
            return
        try:
            self.delivered += self._store.add(picture, jpeg)
        except UnavailableError:
            raise
        except HandfulError as error:
            self._tell(f"captured pictures of {picture.model} stay on this machine: {error}")
        else:
            waiting.remove()

    def remove_old(self) -> None:
        """Delete pictures of past days that have no review, of all models and replicas; once an hour.

        Raises:
            UnavailableError: MLflow does not answer.
        """
        now = time.monotonic()
        if not self._days or (self._removed_at is not None and now - self._removed_at < _REMOVAL_SECONDS):
            return
        self._removed_at = now
        today = self._day.today()
        if today is None:
            return
        first = (today - timedelta(days=self._days)).isoformat()
        for model in self._store.models():
            try:
                if count := self._store.delete_before(model, first):
                    _log.info("%d captured pictures of %s from before %s were removed from MLflow", count, model, first)
            except UnavailableError:
                raise
            except HandfulError as error:
                self._tell(f"old captured pictures of {model} stay in MLflow: {error}")

    def _is_too_old(self, day: str) -> bool:
        """By this machine's clock: MLflow may have been away for days."""
        if not self._days or self._day.was_set:
            return False
        return day < (datetime.now(UTC).date() - timedelta(days=self._days)).isoformat()

    def _tell(self, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            _log.warning("%s", message)
