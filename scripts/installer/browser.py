"""The Chromium that the dashboard's tests run in."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from installer import debian
from installer.layout import Layout
from installer.terminal import NO_NETWORK, InstallError, run, say

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")


def find_browser() -> str | None:
    """The machine's own Chromium or Chrome; None if it has none, and Playwright's may be used."""
    found = (shutil.which(name) for name in _NAMES)
    return next((path for path in found if path), str(_MAC) if _MAC.exists() else None)


def ensure_browser(layout: Layout) -> None:
    """Install Chromium if there is none. Without one the browser tests are skipped, so a failure does not stop."""
    if find_browser() is not None:
        return
    try:
        if debian.is_debian() and debian.rights() is not None:
            debian.install("chromium")
        else:
            _install_playwrights(layout)
    except InstallError as error:
        say(f"no Chromium, so the tests in a browser are skipped ({error})")


def _install_playwrights(layout: Layout) -> None:
    """Playwright's own build, with the libraries that it needs where they can be installed."""
    libraries = sys.platform == "linux" and debian.has_apt() and debian.rights() is not None
    say("installing Chromium with Playwright")
    failure = InstallError("Playwright could not fetch it, see above: install Chromium or Chrome", NO_NETWORK)
    run([layout.tool("playwright"), "install", *(["--with-deps"] if libraries else []), "chromium"], failure)
