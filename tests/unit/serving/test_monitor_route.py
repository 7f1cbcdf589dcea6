"""Serving passes the dashboard's questions on to the monitor, which may not be there."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from fakes.registry import FakeMlflow
from handful_serving.adapters.key_file import KeyFile
from handful_serving.adapters.monitor import Monitor
from handful_serving.domain.auth import ApiKey, digest_of
from support.serving_app import make_app, running

pytestmark = pytest.mark.anyio


async def test_what_is_asked_and_answered_goes_through() -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.url.path, dict(request.url.params)))
        return httpx.Response(400, json={"detail": "no"}, headers={"content-type": "application/problem+json"})

    monitor = Monitor("http://monitor:8002/", httpx.MockTransport(answer))
    found = await monitor.get("verdicts/history", "model=a%20b%26c&version=3&source=")
    await monitor.close()
    assert asked == [("/verdicts/history", {"model": "a b&c", "version": "3", "source": ""})]
    assert found is not None
    assert (found.status, found.kind, found.content) == (400, "application/problem+json", b'{"detail":"no"}')


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_where_no_monitor_runs_a_problem_says_how_to_start_one(tmp_path: Path, prefix: str) -> None:
    app = make_app(tmp_path, FakeMlflow(), monitor="http://127.0.0.1:9")
    async with running(app, ready=False) as client:
        answer = await client.get(f"{prefix}/monitor/verdicts")
        metrics = (await client.get("/metrics")).text
    assert answer.status_code == 404
    assert answer.json()["type"] == "urn:handful:problem:no-monitor"
    assert "handful monitor watch --port 8002" in answer.json()["detail"]
    assert "handful_rejects_total{" not in metrics, "an open dashboard is no rejected request"


@pytest.mark.parametrize("path", ["metrics", "openapi.json", "verdicts/../metrics", "//elsewhere/verdicts", ""])
async def test_nothing_else_of_the_monitor_can_be_asked(tmp_path: Path, path: str) -> None:
    app = make_app(tmp_path, FakeMlflow(), monitor="http://127.0.0.1:9")
    async with running(app, ready=False) as client:
        answer = await client.get(f"/monitor/{path}")
        posted = await client.post("/monitor/verdicts", json={})
    assert answer.status_code == 404
    assert "no-monitor" not in answer.text
    assert posted.status_code == 405


async def test_where_keys_are_asked_for_verdicts_need_one(tmp_path: Path) -> None:
    KeyFile(tmp_path / "keys.json").write([ApiKey("one", digest_of("handful_secret"), frozenset({"predict"}))])
    app = make_app(tmp_path, FakeMlflow(), monitor="http://127.0.0.1:9", auth="on", keys_file=tmp_path / "keys.json")
    async with running(app, ready=False) as client:
        assert (await client.get("/monitor/verdicts")).status_code == 401
        given = await client.get("/monitor/verdicts", headers={"X-API-Key": "handful_secret"})
    assert given.json()["type"] == "urn:handful:problem:no-monitor"
