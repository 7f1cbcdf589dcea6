"""The system's own Chromium: Playwright's browsers are not downloaded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from support.network_lock import shared

# A machine that does four things at once is as right as a fast one; what fails takes longer, what passes does not.
_PATIENCE = 30_000
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_MISSING = (
    "the dashboard is not tested: there is no Chromium. "
    "Install it (Debian, Ubuntu: apt-get install chromium) or name it in CHROMIUM"
)
_FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def _chromium() -> str | None:
    named = os.environ.get("CHROMIUM")
    return shutil.which(named) if named else next(filter(None, map(shutil.which, _NAMES)), None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--pictures",
        metavar="URL",
        help="take the documentation's pictures anew, into docs/img, of the dashboard at this address",
    )


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say in the last lines that nothing here was tested: skips alone are easily overlooked."""
    if not _chromium():
        terminalreporter.section("browser", sep="!", red=True, bold=True)
        terminalreporter.write_line(_MISSING)


def pytest_configure() -> None:
    """Wait longer than Playwright does by itself, for whatever is expected of the page."""
    expect.set_options(timeout=_PATIENCE)


@pytest.fixture(scope="session")
def network(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """While there is a browser, no other worker has Docker change the machine's networks."""
    with shared(request.config, tmp_path_factory.getbasetemp())():
        yield


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any], network: None) -> dict[str, Any]:
    """What Playwright starts."""
    path = _chromium()
    if path is None:
        pytest.skip(_MISSING)
    # Chromium has no sandbox for root, as which a container's or a CI's tests often run.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    return {**browser_type_launch_args, "executable_path": path, "args": [*_FLAGS, *sandbox]}


@pytest.fixture(scope="session")
def dashboard(repository: Path) -> Path:
    """The folder of the dashboard."""
    return repository / "dashboard"


@pytest.fixture(scope="session")
def base_url() -> None:
    """None: pages are opened by their whole address. The fixture of pytest-base-url itself warns under pytest 9."""
