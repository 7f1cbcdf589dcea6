"""The whole history of metrics, many runs with one question, a bounded number of points in memory."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from handful_backup.portable.api import API, HISTORY_BULK
from handful_core.errors import HandfulError
from handful_core.registry.rest import Rest

_RUNS = 100
_MOST = 25_000
"""MLflow's own limits for one question. What reaches the second was cut off, and MLflow does not say so."""
_PAGE = 25_000

Point = tuple[str, float, int, int, bool, str]


@dataclass(frozen=True, slots=True)
class _Question:
    """One metric of some runs; of a single run, from some page on."""

    key: str
    runs: list[str]
    token: str = ""


_Answer = tuple[list[Point], list[_Question]]
"""Points, and what has still to be asked."""


class History:
    """Asks a server for histories, some questions at the same time."""

    def __init__(self, rest: Rest, jobs: int) -> None:
        self._rest = rest
        self._jobs = jobs

    def rows(self, keys: Mapping[str, Sequence[str]]) -> Iterator[Point]:
        """Rows of the table `metrics`, no more than some answers' worth of them in memory.

        Args:
            keys: the runs that have each metric.
        """
        questions = (
            _Question(key, list(runs[start : start + _RUNS]))
            for key, runs in keys.items()
            for start in range(0, len(runs), _RUNS)
        )
        more: deque[_Question] = deque()
        waiting: deque[Future[_Answer]] = deque()
        with ThreadPoolExecutor(self._jobs) as pool:
            while True:
                while len(waiting) <= self._jobs and (next_ := more.popleft() if more else next(questions, None)):
                    waiting.append(pool.submit(self._ask, next_))
                if not waiting:
                    return
                points, rest = waiting.popleft().result()
                more.extend(rest)
                yield from points

    def _ask(self, question: _Question) -> _Answer:
        """One answer; where there are too many points for it, the questions that bring fewer."""
        key, runs = question.key, question.runs
        if len(runs) == 1:
            return self._page(question)
        query: dict[str, str | list[str]] = {"run_id": runs, "metric_key": key, "max_results": str(_MOST)}
        try:
            found = self._rest.get(HISTORY_BULK, query)["metrics"]
        except HandfulError:  # A server without this address, or one that has no such run any more.
            return [], [_Question(key, [run]) for run in runs]
        if len(found) < _MOST:
            names = {run: run for run in runs}  # One text for all points of a run.
            return [_point(metric, key, names[metric["run_id"]]) for metric in found], []
        half = len(runs) // 2
        return [], [_Question(key, runs[:half]), _Question(key, runs[half:])]

    def _page(self, question: _Question) -> _Answer:
        (run,) = question.runs
        query = {"run_id": run, "metric_key": question.key, "max_results": str(_PAGE)}
        if question.token:
            query["page_token"] = question.token
        answer = self._rest.get(f"{API}/metrics/get-history", query)
        points = [_point(metric, question.key, run) for metric in answer.get("metrics", ())]
        token = answer.get("next_page_token")
        return points, [_Question(question.key, question.runs, token)] if token else []


def _point(metric: Mapping[str, Any], key: str, run: str) -> Point:
    value, is_nan = number(metric["value"])
    return key, value, int(metric["timestamp"]), int(metric.get("step") or 0), is_nan, run


def number(value: Any) -> tuple[float, bool]:
    """A metric's value as MLflow stores it: no number is 0 and a mark; infinities are the largest numbers."""
    number = float(value)
    if math.isnan(number):
        return 0.0, True
    if math.isinf(number):
        return math.copysign(1.7976931348623157e308, number), False
    return number, False
