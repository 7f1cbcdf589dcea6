"""The servers of scripts/quickstart and `scripts/serve --embedded`, which need no Docker."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from urllib.parse import urlsplit

_NOTE = Path("run") / "servers.json"
"""What handful_core.running writes below HANDFUL_HOME as long as they run."""
_CONNECT_SECONDS = 2.0


def embedded_mlflow(home: Path) -> str | None:
    """The address of the MLflow that runs in this home folder; None if there is none."""
    try:
        address = str(json.loads((home / _NOTE).read_text(encoding="utf-8"))["mlflow_uri"])
        parts = urlsplit(address)
        # Whoever was killed outright could not take its note away.
        with socket.create_connection((parts.hostname or "", parts.port or 80), _CONNECT_SECONDS):
            return address
    except (OSError, ValueError, KeyError, TypeError):
        return None
