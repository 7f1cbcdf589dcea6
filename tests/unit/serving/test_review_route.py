"""Serving passes reviews on to the monitor, for callers that may review."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fakes.registry import FakeMlflow
from handful_serving.adapters.key_file import KeyFile
from handful_serving.adapters.monitor import Monitor
from handful_serving.domain.auth import ApiKey, Scope, digest_of
from handful_serving.domain.ports import MonitorQuestion
from support.serving_app import make_app, running

pytestmark = pytest.mark.anyio
PICTURE = "a" * 32


class Listening:
    """Stands for the monitor."""

    def __init__(self) -> None:
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return httpx.Response(200, json={"revision": 1}, headers={"etag": '"1"'})


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> Listening:
    listening = Listening()
    monkeypatch.setattr("handful_serving.app.Monitor", lambda uri: Monitor(uri, httpx.MockTransport(listening)))
    return listening


@pytest.fixture
async def client(tmp_path: Path, listening: Listening) -> AsyncIterator[httpx.AsyncClient]:
    file = tmp_path / "keys.json"
    scopes: tuple[Scope, ...] = ("predict", "review", "admin")
    KeyFile(file).write([ApiKey(scope, digest_of(scope), frozenset({scope})) for scope in scopes])
    async with running(make_app(tmp_path, FakeMlflow(), auth="on", keys_file=file), ready=False) as client:
        yield client


async def test_a_reviewer_is_passed_on_by_name(client: httpx.AsyncClient, listening: Listening) -> None:
    headers = {"X-API-Key": "review", "If-Match": '"0"', "X-Handful-Caller": "somebody else"}
    said: dict[str, Any] = {"status": "accepted"}
    answer = await client.put(f"/api/monitor/review/pictures/{PICTURE}", json=said, headers=headers)
    assert (answer.status_code, answer.json(), answer.headers["etag"]) == (200, {"revision": 1}, '"1"')
    (asked,) = listening.asked
    assert (asked.method, asked.url.path) == ("PUT", f"/review/pictures/{PICTURE}")
    assert asked.read() == b'{"status":"accepted"}'
    sent = {name: asked.headers.get_list(name) for name in ("host", "x-handful-caller", "if-match")}
    assert sent == {"host": ["monitor"], "x-handful-caller": ["review"], "if-match": ['"0"']}
    await client.get("/monitor/review/pictures?model=a%20b&status=done", headers={"X-API-Key": "admin"})
    assert dict(listening.asked[1].url.params) == {"model": "a b", "status": "done"}
    assert "if-match" not in listening.asked[1].headers


@pytest.mark.parametrize(("key", "status"), [("", 401), ("unknown", 401), ("predict", 403)])
async def test_others_see_no_picture(client: httpx.AsyncClient, listening: Listening, key: str, status: int) -> None:
    headers = {"X-API-Key": key} if key else {}
    for method, path in (("GET", "pictures?model=a"), ("GET", f"pictures/{PICTURE}/image"), ("DELETE", "pictures")):
        answer = await client.request(method, f"/monitor/review/{path}", headers=headers)
        assert answer.status_code == status
    assert listening.asked == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"pictures/{PICTURE}"),
        ("GET", f"pictures/{'A' * 32}/image"),
        ("GET", "pictures/../../metrics"),
        ("PUT", "pictures"),
        ("DELETE", "models"),
        ("DELETE", f"pictures/{PICTURE}/image"),
        ("GET", ""),
    ],
)
async def test_nothing_else_is_passed_on(
    client: httpx.AsyncClient, listening: Listening, method: str, path: str
) -> None:
    answer = await client.request(method, f"/monitor/review/{path}", headers={"X-API-Key": "admin"})
    assert answer.status_code in {403, 404, 405}
    assert listening.asked == []


async def test_a_review_has_a_bounded_length(client: httpx.AsyncClient, listening: Listening) -> None:
    answer = await client.put(
        f"/monitor/review/pictures/{PICTURE}", content=b"x" * 1_000_001, headers={"X-API-Key": "review"}
    )
    assert answer.status_code == 400
    assert listening.asked == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://serving"}, 200),
    ],
)
async def test_without_keys_only_this_machines_own_pages_see_pictures(
    tmp_path: Path, listening: Listening, headers: dict[str, str], status: int
) -> None:
    async with running(make_app(tmp_path, FakeMlflow(), auth="off"), ready=False) as client:
        for method, path in (("GET", "pictures?model=a"), ("DELETE", "pictures?model=a")):
            kind = {} if method == "GET" else {"Content-Type": "application/json"}
            answer = await client.request(method, f"/monitor/review/{path}", headers=headers | kind)
            assert answer.status_code == status
        plain = await client.request("DELETE", "/monitor/review/pictures?model=a", headers=headers)
        assert plain.status_code == 403, "a form of any page could send this"
    assert len(listening.asked) == (2 if status == 200 else 0)


async def test_a_monitor_that_does_not_run(tmp_path: Path) -> None:
    monitor = Monitor("http://127.0.0.1:9")
    assert await monitor.ask(MonitorQuestion("GET", "review/models")) is None
    await monitor.close()
    async with running(make_app(tmp_path, FakeMlflow(), monitor="http://127.0.0.1:9"), ready=False) as client:
        answer = await client.get("/monitor/review/models")
    assert answer.status_code == 404
    assert answer.json()["type"] == "urn:handful:problem:no-monitor"
