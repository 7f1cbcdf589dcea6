"""Requests over time, counted from the rows of the prediction log: each row says how many answers it stands for."""

from __future__ import annotations

import math
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from handful_core.profile import LogRow

_POINTS = 120
"""Of a line, at most about so many."""
_LEAST_STEP = 300
"""Seconds: rows stand for the requests of a minute, and come in segments of minutes."""
_LATE = 420
"""Seconds until the rows of a moment have come, with serving's own settings: what is younger looks like a lull."""


@dataclass(frozen=True, slots=True)
class TrafficPoint:
    """A step of time that ends at `at`; None where nobody measured."""

    at: datetime
    requests_per_second: float
    p95_seconds: float | None


def step_of(hours: float) -> int:
    """Seconds between two points of a line over so many hours: whole minutes."""
    return max(_LEAST_STEP, -(-int(hours * 3600) // _POINTS // 60) * 60)


class TrafficCounter:
    """Answers by model and minute.

    Args:
        days: older ones are forgotten.
        clock: the time of day.
    """

    def __init__(self, days: int, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._age, self._clock = timedelta(days=days), clock
        self._lock = threading.Lock()
        self._minutes: dict[str, dict[int, float]] = defaultdict(lambda: defaultdict(float))

    def count(self, rows: Iterable[LogRow]) -> None:
        """Rows that were not counted before."""
        oldest = int((self._clock() - self._age).timestamp()) // 60
        with self._lock:
            for row in rows:
                self._minutes[row.model][int(row.at.timestamp()) // 60] += row.weight
            for minutes in self._minutes.values():
                for minute in [minute for minute in minutes if minute < oldest]:
                    del minutes[minute]

    def points(self, model: str | None, hours: float) -> list[TrafficPoint]:
        """A line from the first answer within the hours to now; empty if there is none.

        Args:
            model: its name; None for all together.
            hours: how far it reaches back.
        """
        step, now = step_of(hours), self._clock().timestamp()
        last = int(now - _LATE) // step
        first = math.ceil((now - hours * 3600) / step)
        sums: dict[int, float] = defaultdict(float)
        with self._lock:
            for name, minutes in self._minutes.items():
                if model in {None, name}:
                    for minute, answers in minutes.items():
                        sums[minute * 60 // step] += answers
        there = [place for place in sums if first <= place < last]
        if not there:
            return []
        return [
            TrafficPoint(datetime.fromtimestamp((place + 1) * step, UTC), sums.get(place, 0.0) / step, None)
            for place in range(min(there), last)
        ]
