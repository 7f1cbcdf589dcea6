"""The dashboard in Chromium, against the real serving application with real models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from browser.screen import Screen
from browser.stock import MAX_BODY, stock, stock_monitor
from support.live_monitor import LiveMonitor
from support.live_serving import LiveServing


@pytest.fixture(scope="session")
def serving(tmp_path_factory: pytest.TempPathFactory, dashboard: Path) -> Iterator[LiveServing]:
    """A server with the models of `stock`, loaded, and the monitor of `stock_monitor`."""
    root = tmp_path_factory.mktemp("serving")
    monitor = LiveMonitor()
    live = LiveServing(root / "home", dashboard, {"max_body_bytes": MAX_BODY, "monitor": monitor.url})
    stock(live.mlflow, root)
    stock_monitor(monitor)
    with monitor, live:
        live.wait_until_ready()
        yield live


class Console:
    """What the browser complained about; a test says what it expects."""

    def __init__(self) -> None:
        self.complaints: list[str] = []
        self._expected: list[str] = []

    def expect(self, *words: str) -> None:
        """Complaints with these words are part of the test."""
        self._expected += words

    @property
    def unexpected(self) -> list[str]:
        """The others."""
        return [line for line in self.complaints if not any(words in line for words in self._expected)]


@pytest.fixture(autouse=True)
def console(page: Page) -> Iterator[Console]:
    """Fails the test on an error or warning of the console, a script's error, or a breach of the content policy."""
    seen = Console()
    page.on("pageerror", lambda error: seen.complaints.append(f"script: {error}"))
    page.on(
        "console", lambda m: seen.complaints.append(f"{m.type}: {m.text}") if m.type in {"error", "warning"} else None
    )
    page.add_init_script(
        "addEventListener('securitypolicyviolation', (e) => console.error(`policy: ${e.violatedDirective}`))"
    )
    yield seen
    assert seen.unexpected == []


@pytest.fixture
def open_screen(page: Page) -> Callable[[LiveServing], Screen]:
    """Opens the dashboard of a server."""

    def open_it(serving: LiveServing) -> Screen:
        return Screen.open(page, serving.url)

    return open_it


@pytest.fixture
def screen(open_screen: Callable[[LiveServing], Screen], serving: LiveServing) -> Screen:
    """The dashboard of the session's server, which is ready."""
    opened = open_screen(serving)
    expect(opened.part("status")).to_have_text("Ready")
    return opened
