"""What every answer has, the description of the API, and the dashboard's files."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

from fakes.registry import FakeMlflow
from handful_core.errors import ConfigError
from handful_serving.api.request_ids import RequestIdFilter, RequestIds
from support.serving_app import make_app, running

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "dashboard"
    (path / "js").mkdir(parents=True)
    (path / "index.html").write_text("<!doctype html><title>Handful</title>")
    (path / "js" / "app.js").write_text("export const one = 1;\n")
    (tmp_path / "secret.txt").write_text("secret")
    return path


@pytest.fixture
async def client(tmp_path: Path, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with running(make_app(tmp_path, FakeMlflow(), dashboard_dir=folder), ready=False) as asking:
        yield asking


@pytest.fixture
async def bare(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with running(make_app(tmp_path, FakeMlflow()), ready=False) as asking:
        yield asking


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/nothing", "/", "/js/app.js"])
async def test_every_answer_tells_the_browser_what_it_may_do(client: httpx.AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert policy["img-src"] == "'self' blob: data:"
    assert policy["connect-src"] == "'self'"
    assert policy["object-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("given", ["abc-123", "A" * 128, "4bf92f3577b34da6a3ce929d0e0e4736"])
async def test_a_sane_request_id_is_kept(client: httpx.AsyncClient, given: str) -> None:
    assert (await client.get("/health/live", headers={"X-Request-ID": given})).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "a b", "A" * 129, "<script>", "x\u00fc", "a\tb"])
async def test_any_other_is_replaced(client: httpx.AsyncClient, given: str) -> None:
    sent = {"X-Request-ID": given.encode()}
    ids = {(await client.get("/health/live", headers=sent)).headers["x-request-id"] for _ in range(2)}  # type: ignore[arg-type]
    assert len(ids) == 2
    assert all(re.fullmatch("[0-9a-f]{32}", found) for found in ids)


async def test_the_log_has_the_request_id(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.addFilter(RequestIdFilter())
    with caplog.at_level(logging.INFO):
        await client.get("/models?model=secret", headers={"X-Request-ID": "mine"})
    (line,) = (record for record in caplog.records if record.name == "handful_serving.access")
    assert line.request_id == "mine"  # type: ignore[attr-defined]
    assert re.fullmatch(r"GET /models 200 in [\d.]+ ms", line.getMessage())


async def test_a_path_makes_no_line_of_the_log(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        await client.get("/a%0Aserving ended%1B[2J")
    (line,) = (record for record in caplog.records if record.name == "handful_serving.access")
    assert line.getMessage().startswith("GET /a%0Aserving%20ended%1B%5B2J 404 in ")


async def test_the_watching_of_health_does_not_fill_the_log(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        await client.get("/health/live")
        await client.get("/api/health/ready")
    assert not [record for record in caplog.records if record.name == "handful_serving.access"]


async def test_other_scopes_pass_the_middleware() -> None:
    seen = []

    async def inner(scope: object, *_: object) -> None:
        seen.append(scope)

    await RequestIds(inner)({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    assert seen == [{"type": "lifespan"}]


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nothing", 404), ("GET", "/predict", 405), ("DELETE", "/models", 405)]
)
async def test_what_is_not_there_is_a_problem(
    bare: httpx.AsyncClient, client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    for asking in (bare, client):  # With a dashboard as without one.
        response = await asking.request(method, path)
        assert response.status_code == status
        assert response.headers["content-type"] == "application/problem+json"
        assert path in response.json()["detail"]
        if status == 405:
            assert response.headers["allow"]


async def test_what_watches_may_ask_for_the_head_alone(client: httpx.AsyncClient) -> None:
    assert [(await client.head(f"/health/{name}")).status_code for name in ("live", "ready")] == [200, 503]


async def test_without_a_dashboard_there_is_nothing_at_the_root(bare: httpx.AsyncClient) -> None:
    assert (await bare.get("/")).status_code == 404


async def test_the_dashboard_is_at_the_root_beside_the_api(client: httpx.AsyncClient) -> None:
    page = await client.get("/")
    assert page.text == "<!doctype html><title>Handful</title>"
    assert page.headers["content-type"].startswith("text/html")
    script = await client.get("/js/app.js")
    assert script.headers["content-type"].split(";")[0] in {"text/javascript", "application/javascript"}
    assert (await client.get("/api/health/live")).json() == {"status": "live"}
    assert (await client.get("/health/live")).json() == {"status": "live"}


async def test_the_dashboards_texts_are_sent_packed(client: httpx.AsyncClient, folder: Path) -> None:
    text = "export const one = 1;\n" * 1000
    (folder / "js" / "long.js").write_text(text)
    packed = await client.get("/js/long.js", headers={"Accept-Encoding": "gzip"})
    plain = await client.get("/js/long.js", headers={"Accept-Encoding": "identity"})
    assert packed.text == plain.text == text
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.num_bytes_downloaded < len(text) / 10
    assert packed.headers["vary"] == "Accept-Encoding"
    assert packed.headers["content-security-policy"] == plain.headers["content-security-policy"]
    assert "content-encoding" not in plain.headers
    again = await client.get("/js/long.js", headers={"If-None-Match": packed.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_a_browser_asks_whether_a_file_has_changed(client: httpx.AsyncClient, folder: Path) -> None:
    first = await client.get("/js/app.js")
    assert first.headers["cache-control"] == "no-cache"
    known = {"If-None-Match": first.headers["etag"]}
    again = await client.get("/js/app.js", headers=known)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["cache-control"] == "no-cache"
    (folder / "js" / "app.js").write_text("export const one = 'changed';\n")
    assert (await client.get("/js/app.js", headers=known)).status_code == 200


@pytest.mark.parametrize("path", ["/../secret.txt", "/%2e%2e/secret.txt", "/js/..%2f..%2fsecret.txt", "/nothing.js"])
async def test_only_the_dashboards_files_are_given_out(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


def test_a_folder_without_a_dashboard_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no index\.html"):
        make_app(tmp_path, FakeMlflow(), dashboard_dir=tmp_path)
    assert not (tmp_path / "home").exists(), "nothing is made before all is checked"


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inline = False
        self._script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self._script = tag == "script"
        self.found += [values[name] or "" for name in ("src", "href") if name in values]

    def handle_data(self, data: str) -> None:
        self.inline = self.inline or (self._script and bool(data.strip()))

    def handle_endtag(self, tag: str) -> None:
        self._script = False


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_the_docs_load_nothing_from_elsewhere(client: httpx.AsyncClient, prefix: str) -> None:
    page = await client.get(f"{prefix}/docs")
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "http" not in policy
    links = Links()
    links.feed(page.text)
    assert not links.inline, "the policy would not let it run"
    for link in links.found:
        if link.startswith("data:"):
            continue
        answer = await client.get(f"{prefix}/{link}")
        assert answer.status_code == 200, link
    assert b"SwaggerUIBundle" in (await client.get(f"{prefix}/docs/swagger-ui-bundle.js")).content


async def test_the_description_names_bodies_and_problems(client: httpx.AsyncClient) -> None:
    description = (await client.get("/openapi.json")).json()
    assert {path for path in description["paths"] if not path.startswith("/v2")} == {
        "/predict", "/models", "/models/{name}", "/classes", "/health/live", "/health/ready", "/metrics",
        "/predict/batch", "/rollouts", "/models/{name}/promote", "/models/{name}/rollback", "/models/{name}/rollout",
        "/models/{name}/versions/{version}/run",
    }  # fmt: skip
    predict = description["paths"]["/predict"]["post"]
    assert set(predict["requestBody"]["content"]) == {"multipart/form-data", "image/*", "application/octet-stream"}
    assert {parameter["name"] for parameter in predict["parameters"]} == {
        "model", "version", "alias", "confidence", "iou", "return_image", "annotate", "top", "explain", "source",
    }  # fmt: skip
    assert set(predict["responses"]) == {
        "200", "400", "401", "403", "404", "408", "413", "415", "422", "429", "500", "503",
    }  # fmt: skip
    for path in description["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert list(response["content"]) == ["application/problem+json"]
    assert "servers" not in description
    assert (await client.get("/api/openapi.json")).json()["servers"] == [{"url": "/api"}]


async def test_all_references_of_the_description_lead_somewhere(client: httpx.AsyncClient) -> None:
    response = await client.get("/openapi.json")
    schemas = response.json()["components"]["schemas"]
    references = set(re.findall(r'"\$ref":\s*"([^"]+)"', response.text))
    assert references
    assert all(reference.removeprefix("#/components/schemas/") in schemas for reference in references)
    assert "HTTPValidationError" not in schemas
