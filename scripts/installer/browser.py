"""The Chromium that the dashboard's tests run in."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from installer import debian
from installer.layout import Layout
from installer.terminal import NO_NETWORK, InstallError, run, say

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
_ASK = "from playwright.sync_api import sync_playwright as p\nwith p() as it: print(it.chromium.executable_path)"


def ensure_browser(layout: Layout) -> str:
    """The path of a Chromium or Chrome, which is installed if there is none.

    Without one the browser tests are skipped, so a failure does not stop: the path is empty then.
    """
    if found := find_browser(layout):
        return found
    try:
        if debian.is_debian() and debian.rights() is not None:
            debian.install("chromium")
        else:
            _install_playwrights(layout)
    except InstallError as error:
        say(f"no Chromium, so the tests in a browser are skipped ({error})")
    return find_browser(layout)


def find_browser(layout: Layout) -> str:
    """The machine's own Chromium or Chrome, or Playwright's; empty if there is none."""
    on_path = next(filter(None, map(shutil.which, _NAMES)), None)
    return on_path or (str(_MAC) if _MAC.exists() else _playwrights(layout))


def _playwrights(layout: Layout) -> str:
    """Playwright's own build, if it was installed: Playwright knows where."""
    done = subprocess.run([layout.python, "-c", _ASK], capture_output=True, text=True, check=False)
    path = done.stdout.strip()
    return path if done.returncode == 0 and Path(path).exists() else ""


def _install_playwrights(layout: Layout) -> None:
    """Install Playwright's build, with the libraries that it needs where they can be installed."""
    libraries = sys.platform == "linux" and debian.has_apt() and debian.rights() is not None
    say("installing Chromium with Playwright")
    failure = InstallError("Playwright could not fetch it, see above: install Chromium or Chrome", NO_NETWORK)
    run([layout.tool("playwright"), "install", *(["--with-deps"] if libraries else []), "chromium"], failure)
