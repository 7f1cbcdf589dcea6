"""The whole history of metrics, many runs with one question."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from handful_backup.portable.api import API, HISTORY_BULK
from handful_core.errors import HandfulError
from handful_core.registry.rest import Rest

_RUNS = 100
_MOST = 25_000
"""MLflow's own limits for one question. What reaches the second was cut off, and MLflow does not say so."""
_PAGE = 25_000

Point = tuple[str, float, int, int, bool, str]


class History:
    """Asks a server for histories, some questions at the same time."""

    def __init__(self, rest: Rest, jobs: int) -> None:
        self._rest = rest
        self._jobs = jobs

    def rows(self, keys: Mapping[str, Sequence[str]]) -> Iterator[Point]:
        """Rows of the table `metrics`.

        Args:
            keys: the runs that have each metric.
        """
        with ThreadPoolExecutor(self._jobs) as pool:
            waiting: deque[Future[list[Point]]] = deque()
            for key, runs in keys.items():
                for start in range(0, len(runs), _RUNS):
                    waiting.append(pool.submit(self._of_runs, key, runs[start : start + _RUNS]))
                    if len(waiting) > 2 * self._jobs:
                        yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()

    def _of_runs(self, key: str, runs: Sequence[str]) -> list[Point]:
        """One metric of several runs; of fewer runs at once where there are too many points for one answer."""
        if len(runs) == 1:
            return self._of_run(key, runs[0])
        try:
            answer = self._rest.get(HISTORY_BULK, {"run_id": list(runs), "metric_key": key, "max_results": str(_MOST)})
        except HandfulError:  # A server without this address, or one that has no such run any more.
            return [point for run in runs for point in self._of_run(key, run)]
        found = answer["metrics"]
        if len(found) < _MOST:
            return [_point(metric, metric["run_id"]) for metric in found]
        half = len(runs) // 2
        return self._of_runs(key, runs[:half]) + self._of_runs(key, runs[half:])

    def _of_run(self, key: str, run: str) -> list[Point]:
        query = {"run_id": run, "metric_key": key, "max_results": str(_PAGE)}
        points: list[Point] = []
        while True:
            answer = self._rest.get(f"{API}/metrics/get-history", query)
            points += [_point(metric, run) for metric in answer.get("metrics", ())]
            if not answer.get("next_page_token"):
                return points
            query["page_token"] = answer["next_page_token"]


def _point(metric: Mapping[str, Any], run: str) -> Point:
    value, is_nan = number(metric["value"])
    return metric["key"], value, int(metric["timestamp"]), int(metric.get("step") or 0), is_nan, run


def number(value: Any) -> tuple[float, bool]:
    """A metric's value as MLflow stores it: no number is 0 and a mark; infinities are the largest numbers."""
    number = float(value)
    if math.isnan(number):
        return 0.0, True
    if math.isinf(number):
        return math.copysign(1.7976931348623157e308, number), False
    return number, False
