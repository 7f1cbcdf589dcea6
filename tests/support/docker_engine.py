"""The Docker engine that the stack is tested in: whether there is one, or when."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

_PATIENCE = 1200


def missing_engine_reason(starting: Path | None, patience: float = _PATIENCE) -> str | None:
    """Why the stack cannot be tested here; None if it can.

    Args:
        starting: where `scripts/test.sh` notes how an engine starts that it has begun to start, which is waited for.
        patience: seconds to wait.
    """
    if starting is not None and (reason := _failure(starting, patience)):
        return f"there is no Docker engine: {reason}"
    if shutil.which("docker") is None:
        return "there is no docker command"
    asked = subprocess.run(["docker", "compose", "ls"], capture_output=True, text=True, check=False)
    return None if asked.returncode == 0 else f"no Docker engine with Compose answers ({asked.stderr.strip()})"


def _failure(starting: Path, patience: float) -> str | None:
    """Wait until it has started; its last words if it could not."""
    until = time.monotonic() + patience
    while not (starting / "code").exists():
        if time.monotonic() > until:
            return f"it has not started within {patience:.0f} s"
        time.sleep(min(0.5, patience))
    if (starting / "code").read_text().strip() == "0":
        return None
    lines = (starting / "log").read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line for line in reversed(lines) if line.strip()), "it says nothing")
