"""`python -m installer`: makes `.venv` and installs Handful into it; instant when that was done."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from console import print_error
from installer.command import RESOURCE, InstallError
from installer.environment import ensure_environment
from installer.evidently import ensure_evidently
from installer.layout import Layout
from installer.packages import ensure_packages, ensure_uv
from installer.programs import ensure_browser

_PARTS = {
    "services": "all that runs",
    "dev": "that and what checks and tests it",
    "tools": "only what installs",
    "evidently": "what draws the monitor's reports, in .venv-evidently",
    "browser": "a Chromium for the tests, after dev; prints its path",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Install; returns the exit code."""
    parser = argparse.ArgumentParser(prog="installer", description=__doc__)
    parser.add_argument("part", choices=_PARTS, help="; ".join(f"{part}: {what}" for part, what in _PARTS.items()))
    part = parser.parse_args(argv).part
    return guarded(lambda: _install(Layout.of_this_checkout(), part))


def guarded(install: Callable[[], object]) -> int:
    """Install something and return the exit code; print the line of an error."""
    try:
        install()
    except InstallError as error:
        return _report(str(error), error.exit_code)
    except OSError as error:
        return _report(f"{error.strerror} ({error.filename}): check free disk space and permissions", RESOURCE)
    except KeyboardInterrupt:
        return _report("interrupted: run this again, it goes on from here", 130)
    return 0


def _install(layout: Layout, part: str) -> None:
    if not os.access(layout.root, os.W_OK):
        raise InstallError(
            f"{layout.root} cannot be written by this user: clone Handful to a folder of yours", RESOURCE
        )
    if part == "browser":
        print(ensure_browser(layout))  # noqa: T201  # The result, alone on stdout.
        return
    ensure_environment(layout)
    if part == "evidently":
        ensure_evidently(layout)
    elif part == "tools":
        ensure_uv(layout)
    else:
        ensure_packages(layout, part)


def _report(line: str, exit_code: int) -> int:
    print_error(line)
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
