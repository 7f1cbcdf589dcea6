"""The servers that run on this machine without Docker: who started them notes where, and commands find them there."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from handful_core.files import write_atomically

_FILE = Path("run") / "servers.json"
_CONNECT_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class RunningServers:
    """Where they listen."""

    server: str
    """Address of the serving API."""
    mlflow_uri: str
    """Address of MLflow."""


@contextlib.contextmanager
def announced(home: Path, servers: RunningServers) -> Iterator[None]:
    """Let commands find the servers in this home folder, as long as the block runs."""
    file = home / _FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, json.dumps(asdict(servers)) + "\n")
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def find_servers(home: Path) -> RunningServers | None:
    """The servers that were announced in this home folder, if they still listen; None if there are none."""
    try:
        content = json.loads((home / _FILE).read_text(encoding="utf-8"))
        found = RunningServers(str(content["server"]), str(content["mlflow_uri"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # Whoever was killed outright could not take its note away.
    return found if _listens(found.server) and _listens(found.mlflow_uri) else None


def _listens(address: str) -> bool:
    try:
        parts = urlsplit(address)
        with socket.create_connection((parts.hostname or "", parts.port or 80), _CONNECT_SECONDS):
            return True
    except (OSError, ValueError):
        return False
