"""The whole history of metrics: many runs per request, a bounded number of points in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from handful_backup.portable.mlflow_api import HISTORY_BULK, metric_value
from handful_core.errors import HandfulError
from handful_core.registry.rest import API, Rest

_RUNS_PER_BULK = 100
_POINTS_PER_BULK = 25_000
"""MLflow's own limits for one request. What reaches the second was cut off, and MLflow does not say so."""
_POINTS_PER_PAGE = 25_000

Point = tuple[str, float, int, int, bool, str]


@dataclass(frozen=True, slots=True)
class _Request:
    """One metric of some runs; of a single run, from some page on."""

    key: str
    runs: list[str]
    token: str = ""


_Response = tuple[list[Point], list[_Request]]
"""Points, and the requests that are still to be sent."""


class History:
    """Reads histories from a server, with some requests at the same time."""

    def __init__(self, rest: Rest, jobs: int) -> None:
        self._rest = rest
        self._jobs = jobs

    def rows(self, keys: Mapping[str, Sequence[str]]) -> Iterator[Point]:
        """Rows of the table `metrics`, no more than some answers' worth of them in memory.

        Args:
            keys: the runs that have each metric.
        """
        requests = (
            _Request(key, list(runs[start : start + _RUNS_PER_BULK]))
            for key, runs in keys.items()
            for start in range(0, len(runs), _RUNS_PER_BULK)
        )
        more: deque[_Request] = deque()
        waiting: deque[Future[_Response]] = deque()
        with ThreadPoolExecutor(self._jobs) as pool:
            while True:
                while len(waiting) <= self._jobs and (following := more.popleft() if more else next(requests, None)):
                    waiting.append(pool.submit(self._send, following))
                if not waiting:
                    return
                points, rest = waiting.popleft().result()
                more.extend(rest)
                yield from points

    def _send(self, request: _Request) -> _Response:
        """Send a request. Where one answer cannot hold its points, the result is smaller requests instead."""
        key, runs = request.key, request.runs
        if len(runs) == 1:
            return self._page(request)
        query: dict[str, str | list[str]] = {"run_id": runs, "metric_key": key, "max_results": str(_POINTS_PER_BULK)}
        try:
            found = self._rest.get(HISTORY_BULK, query)["metrics"]
        except HandfulError:  # A server without this address, or one that has no such run any more.
            return [], [_Request(key, [run]) for run in runs]
        if len(found) < _POINTS_PER_BULK:
            names = {run: run for run in runs}  # One string for all points of a run saves memory.
            return [_point(metric, key, names[metric["run_id"]]) for metric in found], []
        # It was cut off, perhaps: the limit may also be the exact count. Ask for each half.
        half = len(runs) // 2
        return [], [_Request(key, runs[:half]), _Request(key, runs[half:])]

    def _page(self, request: _Request) -> _Response:
        (run,) = request.runs
        query = {"run_id": run, "metric_key": request.key, "max_results": str(_POINTS_PER_PAGE)}
        if request.token:
            query["page_token"] = request.token
        answer = self._rest.get(f"{API}/metrics/get-history", query)
        points = [_point(metric, request.key, run) for metric in answer.get("metrics", ())]
        token = answer.get("next_page_token")
        return points, [_Request(request.key, request.runs, token)] if token else []


def _point(metric: Mapping[str, Any], key: str, run: str) -> Point:
    value, is_nan = metric_value(metric["value"])
    return key, value, int(metric["timestamp"]), int(metric.get("step") or 0), is_nan, run
