"""Packages of Debian and its kin."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from console import print_status
from installer.command import RESOURCE, UNAVAILABLE, InstallError, run_command, succeeds


def has_apt() -> bool:
    """Whether packages are installed with apt-get here."""
    return shutil.which("apt-get") is not None


def is_debian() -> bool:
    """Whether this is Debian itself: Ubuntu's `chromium`, for one, is a snap."""
    try:
        return "ID=debian" in Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False


def root_prefix() -> list[str] | None:
    """What to put before a command that only root may run; None if this user cannot become root."""
    if sys.platform == "win32":
        return None
    if os.geteuid() == 0:
        return []
    return ["sudo", "-n"] if succeeds(["sudo", "-n", "true"], timeout=10) else None


def install(package: str) -> None:
    """Install a package.

    Raises:
        InstallError: this user has no right to do so, or apt-get failed.
    """
    prefix = root_prefix()
    if prefix is None:
        raise InstallError(
            f"the package {package} is missing: run 'sudo apt-get install {package}', then this again", RESOURCE
        )
    print_status(f"installing the package {package} with apt-get")
    command = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    failure = InstallError(
        f"apt-get could not install {package}, see above: run 'sudo apt-get install {package}', then this again",
        UNAVAILABLE,
    )
    run_command([*command, "update"], failure)
    run_command([*command, "install", "--yes", "--no-install-recommends", package], failure)
