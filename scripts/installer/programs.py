"""Programs that the tests use.

A Chromium for the dashboard, Postgres for the clusters of the backup's tests, Prometheus and Alertmanager for the tests
of alerts, Wine for the batch files, and actionlint for the workflows.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from console import print_status
from installer import debian
from installer.command import UNAVAILABLE, InstallError, run_command
from installer.layout import Layout

_CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_MAC_CHROME = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
_PRINT_CHROMIUM = (
    "from playwright.sync_api import sync_playwright as p\nwith p() as it: print(it.chromium.executable_path)"
)
_DEBIAN_POSTGRES = Path("/usr/lib/postgresql")
_POSTGRES_PACKAGE = "postgresql"
_WINE_PACKAGE = "wine"
_ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"
_PROMETHEUS_PACKAGES = {"promtool": "prometheus", "amtool": "prometheus-alertmanager"}
"""Program and the Debian package that has it."""


def ensure_browser(layout: Layout) -> str:
    """The path of a Chromium or Chrome, which is installed if there is none.

    Without one the browser tests are skipped, so a failure does not stop: the path is empty then.
    """
    if found := find_browser(layout):
        return found
    try:
        if debian.is_debian() and debian.root_prefix() is not None:
            debian.install("chromium")
        else:
            _install_playwright_chromium(layout)
    except InstallError as error:
        print_status(f"no Chromium, so the tests in a browser are skipped ({error})")
    return find_browser(layout)


def find_browser(layout: Layout) -> str:
    """The machine's own Chromium or Chrome, or Playwright's; empty if there is none."""
    on_path = next(filter(None, map(shutil.which, _CHROMIUM_NAMES)), None)
    return on_path or (str(_MAC_CHROME) if _MAC_CHROME.exists() else _playwright_chromium(layout))


def _playwright_chromium(layout: Layout) -> str:
    """Playwright's own build, if it was installed: Playwright knows where."""
    done = subprocess.run([layout.python, "-c", _PRINT_CHROMIUM], capture_output=True, text=True, check=False)
    path = done.stdout.strip()
    return path if done.returncode == 0 and Path(path).exists() else ""


def _install_playwright_chromium(layout: Layout) -> None:
    """Install Playwright's build, with the libraries that it needs where they can be installed."""
    libraries = sys.platform == "linux" and debian.has_apt() and debian.root_prefix() is not None
    print_status("installing Chromium with Playwright")
    failure = InstallError("Playwright could not fetch it, see above: install Chromium or Chrome", UNAVAILABLE)
    run_command([layout.tool("playwright"), "install", *(["--with-deps"] if libraries else []), "chromium"], failure)


def ensure_postgres() -> None:
    """Install Postgres if there is none. Without one its tests are skipped, so a failure does not stop."""
    if not find_postgres():
        _install_package(_POSTGRES_PACKAGE, "no Postgres, so its tests are skipped")


def ensure_prometheus() -> None:
    """Install Prometheus and Alertmanager if they are not there. Without them tests are skipped: no failure stops."""
    for program, package in _PROMETHEUS_PACKAGES.items():
        if shutil.which(program) is None:
            _install_package(package, f"no {program}, so the tests of alerts are skipped")


def ensure_wine() -> None:
    """Install Wine on Linux if there is none. Without it the batch files are read, not run: no failure stops."""
    if sys.platform == "linux" and shutil.which("wine") is None:
        _install_package(_WINE_PACKAGE, "no Wine, so the batch files are read, not run")


def ensure_actionlint(layout: Layout) -> None:
    """Build actionlint with Go if there is none. Without Go the workflows are not linted: no failure stops."""
    if shutil.which("actionlint") or layout.tool("actionlint").exists():
        return
    without = "no actionlint, so the workflows are not linted"
    if shutil.which("go") is None:
        print_status(f"{without}: install Go")
        return
    print_status("building actionlint with Go")
    environment = os.environ | {"GOBIN": str(layout.python.parent)}
    if subprocess.run(["go", "install", _ACTIONLINT], check=False, env=environment).returncode:
        print_status(f"{without}: see above")


def _install_package(package: str, without: str) -> None:
    """Install a Debian package, or say what goes without it."""
    if not (debian.has_apt() and debian.root_prefix() is not None):
        print_status(f"{without}: install the package {package}")
        return
    try:
        debian.install(package)
    except InstallError as error:
        print_status(f"{without} ({error})")


def find_postgres() -> bool:
    """Whether there is one. Debian keeps its programs off the PATH."""
    return shutil.which("initdb") is not None or any(_DEBIAN_POSTGRES.glob("*/bin/initdb"))
