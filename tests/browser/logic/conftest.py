"""The dashboard's computing modules, run where they run for users: in the browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route

_ORIGIN = "http://dashboard.test"

CallFunction = Callable[..., Any]


@pytest.fixture(scope="module")
def blank(browser: Browser, dashboard: Path) -> Iterator[Page]:
    """An empty page that can import the dashboard's modules; there is no server behind it."""

    def serve(route: Route) -> None:
        path = dashboard / route.request.url.removeprefix(_ORIGIN).lstrip("/")
        if path.is_file():
            route.fulfill(path=path)
        else:
            route.fulfill(body="<!doctype html><title>blank</title>", content_type="text/html")

    context = browser.new_context()
    context.route("**/*", serve)
    page = context.new_page()
    page.goto(_ORIGIN)
    yield page
    context.close()


@pytest.fixture
def run(blank: Page) -> CallFunction:
    """`run("geometry", "fit", image, space)`: what the module's function returns for these arguments."""

    def call(module: str, function: str, *arguments: Any) -> Any:
        return blank.evaluate(
            "async ([module, name, args]) => (await import(`/js/logic/${module}.js`))[name](...args)",
            [module, function, list(arguments)],
        )

    return call


@pytest.fixture
def script(blank: Page) -> CallFunction:
    """`script("prediction", "(m, x) => m.classCounts(x).size", x)`: for what does not go through JSON."""

    def call(module: str, code: str, argument: Any = None) -> Any:
        return blank.evaluate(f"async (x) => ({code})(await import('/js/logic/{module}.js'), x)", argument)

    return call
