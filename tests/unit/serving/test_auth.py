from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from fakes.packages import build_package, encode, picture
from fakes.registry import FakeMlflow
from handful_core.errors import ConfigError, NotFoundError
from handful_serving import keys_cli
from handful_serving.adapters.key_file import KeyFile
from handful_serving.domain.auth import ApiKey, Caller, RateLimiter, digest_of, new_secret
from handful_serving.errors import RateError
from handful_serving.settings import ServingSettings
from support.serving_app import make_app, running

HAND = encode(picture({(2, 3): "5"}))
PNG = {"Content-Type": "image/png"}


def key(name: str, *scopes: str, rate: int | None = None) -> ApiKey:
    return ApiKey(name, digest_of(f"secret of {name}"), frozenset(scopes), rate)  # type: ignore[arg-type]


def as_key(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer secret of {name}"}


@pytest.fixture
def mlflow(tmp_path: Path) -> FakeMlflow:
    fake = FakeMlflow()
    fake.register(build_package(tmp_path / "one"), aliases=["champion"])
    fake.register(build_package(tmp_path / "two", sharpness=8.0))
    return fake


@pytest.fixture
async def client(tmp_path: Path, mlflow: FakeMlflow) -> AsyncIterator[httpx.AsyncClient]:
    keys = [key("user", "predict"), key("boss", "admin"), key("prometheus", "metrics"), key("slow", "predict", rate=2)]
    KeyFile(tmp_path / "home" / "keys.json").write(keys)
    async with running(make_app(tmp_path, mlflow, auth="on", max_batch=4)) as asking:
        yield asking


@pytest.mark.anyio
async def test_the_key_of_a_file_reads_metrics_and_nothing_else(tmp_path: Path, mlflow: FakeMlflow) -> None:
    file = tmp_path / "metrics_key"
    file.write_text("secret of prometheus\n")
    KeyFile(tmp_path / "home" / "keys.json").write([key("user", "predict")])
    async with running(make_app(tmp_path, mlflow, auth="on", metrics_key_file=file)) as client:
        assert (await client.get("/metrics", headers=as_key("prometheus"))).status_code == 200
        assert (await client.get("/metrics", headers=as_key("user"))).status_code == 200
        assert (await client.get("/metrics")).status_code == 401
        refused = await client.post("/predict", content=HAND, headers=as_key("prometheus") | PNG)
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:handful:problem:forbidden")


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff"])
def test_a_key_for_metrics_that_is_none_stops_the_start(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "metrics_key"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match="the key for metrics"):
        make_app(tmp_path, FakeMlflow(), auth="on", metrics_key_file=file)


@pytest.mark.parametrize(
    ("settings", "required"),
    [
        ({}, False),
        ({"host": "localhost"}, False),
        ({"host": "::1"}, False),
        ({"host": "0.0.0.0"}, True),  # noqa: S104
        ({"host": "10.0.0.7"}, True),
        ({"host": "vision.example.com"}, True),
        ({"host": "0.0.0.0", "auth": "off"}, False),  # noqa: S104
        ({"auth": "on"}, True),
        ({"host": "0.0.0.0", "published_at": "127.0.0.1"}, False),  # noqa: S104
        ({"host": "0.0.0.0", "published_at": "0.0.0.0"}, True),  # noqa: S104
    ],
)
def test_keys_are_asked_for_where_others_reach_the_server(settings: dict[str, str], required: bool) -> None:
    assert ServingSettings(**settings).keys_required is required


@pytest.mark.anyio
@pytest.mark.parametrize(
    "path", ["/models", "/models/fingers", "/classes", "/metrics", "/rollouts", "/v2/models/fingers"]
)
async def test_nothing_is_told_without_a_key(client: httpx.AsyncClient, path: str) -> None:
    for headers in ({}, as_key("nobody"), {"Authorization": "Basic secret of user"}):
        response = await client.get(path, headers=headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert response.json()["type"] == "urn:handful:problem:no-key"
    assert (await client.get(path, headers=as_key("user"))).status_code == 200
    assert (await client.get(path, headers=as_key("prometheus"))).status_code == (200 if path == "/metrics" else 403)
    assert (await client.get(path, headers={"X-API-Key": "secret of user"})).status_code == 200


@pytest.mark.anyio
async def test_nothing_is_predicted_without_a_key(client: httpx.AsyncClient) -> None:
    for path in ("/predict", "/predict/batch", "/v2/models/fingers/infer"):
        assert (await client.post(path, content=HAND, headers=PNG)).status_code == 401
    answer = await client.post("/predict", content=HAND, headers=PNG | as_key("user"))
    assert answer.json()["count"] == 5


@pytest.mark.anyio
async def test_what_needs_no_key_is_open(client: httpx.AsyncClient) -> None:
    for path in ("/health/live", "/health/ready", "/docs", "/openapi.json", "/v2", "/v2/health/ready"):
        assert (await client.get(path)).status_code == 200


@pytest.mark.anyio
async def test_only_an_admin_key_changes_what_is_served(client: httpx.AsyncClient) -> None:
    for method, path in (("POST", "promote"), ("POST", "rollback"), ("PUT", "rollout")):
        response = await client.request(method, f"/models/fingers/{path}", json={"version": 2}, headers=as_key("user"))
        assert (response.status_code, response.json()["type"]) == (403, "urn:handful:problem:forbidden")
    done = await client.post("/models/fingers/promote", json={"version": 2}, headers=as_key("boss"))
    assert done.json() == {"model": "fingers", "champion": 2, "previous": 1}
    predicted = await client.post("/predict", content=HAND, headers=PNG | as_key("boss"))
    assert predicted.json()["version"] == 2, "an admin key predicts, too"


@pytest.mark.anyio
async def test_a_key_has_a_rate(client: httpx.AsyncClient) -> None:
    statuses = [(await client.post("/predict", content=HAND, headers=PNG | as_key("slow"))) for _ in range(3)]
    assert [response.status_code for response in statuses] == [200, 200, 429]
    assert 1 <= int(statuses[-1].headers["retry-after"]) <= 30
    assert (await client.post("/predict", content=HAND, headers=PNG | as_key("user"))).status_code == 200
    metrics = (await client.get("/metrics", headers=as_key("slow"))).text
    assert 'handful_rejects_total{reason="too_many_requests"} 1.0' in metrics
    assert "slow" not in metrics.replace("too_slow", ""), "no label names a user"


@pytest.mark.anyio
async def test_a_key_is_good_and_gone_without_a_restart(tmp_path: Path, mlflow: FakeMlflow) -> None:
    file = KeyFile(tmp_path / "home" / "keys.json")
    app = make_app(tmp_path, mlflow, auth="on")
    async with running(app) as client:
        assert (await client.get("/models", headers=as_key("new"))).status_code == 401
        file.write([key("new", "predict")])
        app.state.serving.authenticator._keys._checked_at = float("-inf")  # A second goes by.
        assert (await client.get("/models", headers=as_key("new"))).status_code == 200
        file.path.write_text("{")
        app.state.serving.authenticator._keys._checked_at = float("-inf")
        assert (await client.get("/models", headers=as_key("new"))).status_code == 200, "the keys that were known go on"
        file.write([])
        app.state.serving.authenticator._keys._checked_at = float("-inf")
        assert (await client.get("/models", headers=as_key("new"))).status_code == 401


@pytest.mark.anyio
async def test_without_keys_no_page_elsewhere_changes_anything(tmp_path: Path, mlflow: FakeMlflow) -> None:
    async with running(make_app(tmp_path, mlflow)) as client:
        path = "/models/fingers/promote"
        plain = await client.post(path, content='{"version": 2}', headers={"Content-Type": "text/plain"})
        assert plain.status_code == 403
        for host in ("evil.example:8000", "[", ""):
            assert (await client.post(path, json={"version": 2}, headers={"Host": host})).status_code == 403
        for host in ("localhost:8000", "127.0.0.1:8000", "[::1]:8000", "serving:8000"):
            assert (await client.post(path, json={"version": 2}, headers={"Host": host})).status_code == 200


@pytest.mark.anyio
@pytest.mark.parametrize("page", ["https://evil.example", "http://localhost:3000", "http://127.0.0.1", "null", "", "x"])
@pytest.mark.parametrize("origins", [(), ("*",), ("https://vision.example.com",)])
async def test_without_keys_a_change_from_another_origin_is_refused_whatever_was_asked_before(
    tmp_path: Path, mlflow: FakeMlflow, page: str, origins: tuple[str, ...]
) -> None:
    async with running(make_app(tmp_path, mlflow, cors_origins=origins)) as client:
        asks = {"Host": "127.0.0.1:8000", "Origin": page}
        for method, path in (("POST", "promote"), ("POST", "rollback"), ("PUT", "rollout")):
            refused = await client.request(method, f"/models/fingers/{path}", json={"version": 2}, headers=asks)
            assert (refused.status_code, refused.json()["type"]) == (403, "urn:handful:problem:forbidden"), path
            assert "HANDFUL_SERVING_CORS_ORIGINS" in refused.json()["detail"]
        assert (await client.get("/models/fingers")).json()["aliases"] == {"champion": 1}


@pytest.mark.anyio
@pytest.mark.parametrize("page", ["http://127.0.0.1:8000", "HTTPS://127.0.0.1:8000", "https://vision.example.com"])
async def test_without_keys_the_dashboard_and_pages_that_are_named_change_things(
    tmp_path: Path, mlflow: FakeMlflow, page: str
) -> None:
    async with running(make_app(tmp_path, mlflow, cors_origins=("https://vision.example.com",))) as client:
        asks = {"Host": "127.0.0.1:8000", "Origin": page}
        assert (await client.post("/models/fingers/promote", json={"version": 2}, headers=asks)).status_code == 200


@pytest.mark.anyio
async def test_a_key_is_enough_from_any_page(client: httpx.AsyncClient) -> None:
    asks = as_key("boss") | {"Origin": "https://evil.example"}
    assert (await client.post("/models/fingers/promote", json={"version": 2}, headers=asks)).status_code == 200


@pytest.mark.anyio
async def test_pages_that_are_named_may_call(tmp_path: Path, mlflow: FakeMlflow) -> None:
    app = make_app(tmp_path, mlflow, cors_origins=("https://vision.example.com",))
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "X-API-Key"}
    async with running(app) as client:
        allowed = await client.options("/predict", headers=asks | {"Origin": "https://vision.example.com"})
        assert allowed.headers["access-control-allow-origin"] == "https://vision.example.com"
        refused = await client.options("/predict", headers=asks | {"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in refused.headers


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_rate_fills_evenly_and_survives_a_clock_that_jumps() -> None:
    clock = Clock()
    limiter = RateLimiter(6, clock)
    caller = Caller(None)
    limiter.consume(caller, 6)
    with pytest.raises(RateError) as caught:
        limiter.consume(caller)
    assert caught.value.retry_after == 10
    clock.now = 10
    limiter.consume(caller)
    clock.now = -1e6
    with pytest.raises(RateError):
        limiter.consume(caller)
    clock.now = -1e6 + 10
    limiter.consume(caller)
    clock.now = 1e9
    limiter.consume(caller, 40)  # More than a minute's, when there is a minute's: the debt is paid later.
    clock.now += 60
    with pytest.raises(RateError):
        limiter.consume(caller)


def test_secrets_are_long_and_only_hashes_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HANDFUL_HOME", str(tmp_path))
    keys_cli.create("laptop", ["admin"], 60)
    secret = capsys.readouterr().out.strip()
    assert len(secret) > 40
    assert secret != new_secret()
    stored = (tmp_path / "keys.json").read_text()
    assert secret not in stored
    assert json.loads(stored)["keys"][0] | {"created": ""} == {
        "name": "laptop", "sha256": digest_of(secret), "scopes": ["admin"], "rate_per_minute": 60, "created": "",
    }  # fmt: skip
    assert (tmp_path / "keys.json").stat().st_mode & 0o077 == 0
    with pytest.raises(ConfigError, match="there is a key laptop already"):
        keys_cli.create("laptop")
    with pytest.raises(ConfigError, match="there is no scope root"):
        keys_cli.create("other", ["root"])
    keys_cli.list_keys(as_json=True)
    assert digest_of(secret) not in capsys.readouterr().out
    keys_cli.remove("laptop")
    with pytest.raises(NotFoundError):
        keys_cli.remove("laptop")
