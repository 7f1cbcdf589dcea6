"""Histories of metrics, over REST."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from handful_backup.portable import history
from handful_backup.portable.history import History
from handful_core.registry.rest import Rest

_JOBS = 4
_ANSWER = 500


@pytest.fixture(autouse=True)
def _small_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "_POINTS_PER_BULK", _ANSWER)
    monkeypatch.setattr(history, "_POINTS_PER_PAGE", _ANSWER)


class _Server:
    """Knows how many points each run has of each metric, and cuts its answers off as MLflow does."""

    def __init__(self, points: dict[tuple[str, str], int], *, bulk: bool = True) -> None:
        self._points = points
        self._bulk = bulk
        self.told = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        query = request.url.params
        key, most = query["metric_key"], int(query["max_results"])
        if request.url.path.endswith("get-history-bulk"):
            if not self._bulk:
                return httpx.Response(404, json={"error_code": "ENDPOINT_NOT_FOUND", "message": "no"})
            found = [point for run in query.get_list("run_id") for point in self._of(run, key)][:most]
            return self._tell(found)
        start = int(query.get("page_token", 0))
        found = list(self._of(query["run_id"], key))
        more = {"next_page_token": str(start + most)} if start + most < len(found) else {}
        return self._tell(found[start : start + most], **more)

    def _of(self, run: str, key: str) -> Iterator[dict[str, Any]]:
        for step in range(self._points.get((run, key), 0)):
            yield {"key": key, "value": step / 7, "timestamp": step, "step": step, "run_id": run}

    def _tell(self, found: list[dict[str, Any]], **more: str) -> httpx.Response:
        self.told += len(found)
        return httpx.Response(200, json={"metrics": found, **more})


def _history(server: _Server) -> History:
    return History(Rest("http://mlflow", 5, 1, httpx.MockTransport(server)), _JOBS)


@pytest.mark.parametrize("bulk", [True, False])
def test_every_point_comes_once_however_many_a_run_has(bulk: bool) -> None:
    points = {(f"run {number}", "loss"): count for number, count in enumerate((0, 1, 600, 1200, 500, 3))}
    points |= {("run 1", "acc"): 2}
    runs = [f"run {number}" for number in range(6)]
    rows = list(_history(_Server(points, bulk=bulk)).rows({"loss": runs, "acc": ["run 1"]}))
    assert len(rows) == len(set(rows)) == sum(points.values())
    assert {(row[5], row[0]) for row in rows} == {owner for owner, count in points.items() if count}
    assert ("loss", 1199 / 7, 1199, 1199, False, "run 3") in rows


def test_what_is_in_memory_does_not_grow_with_the_points() -> None:
    runs = [f"run {number}" for number in range(8)]
    server = _Server({(run, "loss"): 2_000 for run in runs})
    most = passed = 0
    for _ in _history(server).rows({"loss": runs}):
        most = max(most, server.told - passed)
        passed += 1
    assert passed == 16_000
    wasted = 7 * _ANSWER  # Answers that were cut off and are asked for in pieces.
    assert most <= (_JOBS + 2) * _ANSWER + wasted
