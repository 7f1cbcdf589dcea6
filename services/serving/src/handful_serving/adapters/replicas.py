"""Names of the servers that share one folder: each living process has its own, held by a lock."""

from __future__ import annotations

import contextlib
import re
import socket
from pathlib import Path

from filelock import FileLock, Timeout

from handful_core.errors import ResourceError

_MOST = 1000
"""Servers on one machine and folder."""


def become(locks: Path, name: str | None = None) -> tuple[str, FileLock]:
    """The first name that no living process has, and the lock that holds it: release it at the end.

    Args:
        locks: the folder of the locks.
        name: how this server is called; the machine's name if not given.

    Raises:
        ResourceError: all names are taken.
        OSError: the folder cannot be written.
    """
    plain = _plain(name or socket.gethostname())
    for number in range(1, _MOST):
        replica = plain if number == 1 else f"{plain}-{number}"
        lock = FileLock(locks / f"{replica}.lock", timeout=0, thread_local=False)
        with contextlib.suppress(Timeout):
            lock.acquire()
            return replica, lock
    raise ResourceError(f"{_MOST} servers write to {locks.parent}", "give each a HANDFUL_HOME of its own")


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name)[:60].strip(".-") or "server"
