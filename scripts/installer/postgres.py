"""The Postgres that the tests of backups start clusters of their own with."""

from __future__ import annotations

import shutil
from pathlib import Path

from installer import debian
from installer.terminal import InstallError, say

_DEBIAN = Path("/usr/lib/postgresql")
_PACKAGE = "postgresql"


def ensure_postgres() -> None:
    """Install Postgres if there is none. Without one its tests are skipped, so a failure does not stop."""
    if find_postgres():
        return
    if not (debian.has_apt() and debian.rights() is not None):
        say(f"no Postgres, so its tests are skipped: install the package {_PACKAGE}")
        return
    try:
        debian.install(_PACKAGE)
    except InstallError as error:
        say(f"no Postgres, so its tests are skipped ({error})")


def find_postgres() -> bool:
    """Whether there is one. Debian keeps its programs off the PATH."""
    return shutil.which("initdb") is not None or any(_DEBIAN.glob("*/bin/initdb"))
