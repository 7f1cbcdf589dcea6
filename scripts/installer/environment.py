"""The virtual environment."""

from __future__ import annotations

import sys

from console import print_status
from installer import debian
from installer.command import RESOURCE, InstallError, run_command, succeeds
from installer.layout import Layout
from installer.stamp import Stamp

_FITS = "import sys, pip; assert (3, 11) <= sys.version_info < (3, 14)"


def ensure_environment(layout: Layout) -> None:
    """Make the virtual environment, or make it anew if it does not work or the checkout was moved since.

    Raises:
        InstallError: this Python cannot make one and cannot be helped.
    """
    if not succeeds([layout.python, "-c", _FITS]):
        _make(layout, "making" if not layout.venv.exists() else "it does not work (any more): making again")
    elif Stamp.read(layout).moved(layout):
        _make(layout, "the folder was moved: making again")


def _make(layout: Layout, why: str) -> None:
    python = _base_python()
    if not succeeds([python, "-c", "import ensurepip"]):
        _install_ensurepip(python)
    print_status(f"{why} the virtual environment {layout.environment} with Python {sys.version.split()[0]}")
    failure = InstallError(
        f"{python} could not make {layout.venv}, see above: remove it, or name another Python with HANDFUL_PYTHON",
        RESOURCE,
    )
    run_command([python, "-m", "venv", "--clear", layout.venv], failure)


def _base_python() -> str:
    """The Python outside of any virtual environment. `.venv` itself may run this, and cannot make itself again."""
    return str(getattr(sys, "_base_executable", sys.executable))


def _install_ensurepip(python: str) -> None:
    """Debian keeps the part of Python that makes virtual environments in a package of its own."""
    if not (sys.base_prefix == "/usr" and debian.has_apt()):
        raise InstallError(
            f"{python} cannot make virtual environments (it lacks ensurepip): install a complete Python 3.11 to 3.13",
            RESOURCE,
        )
    debian.install(f"python3.{sys.version_info.minor}-venv")
