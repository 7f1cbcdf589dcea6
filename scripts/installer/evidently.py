"""Evidently, in an environment of its own: it needs an older pandas than MLflow's, and a gigabyte."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from console import print_status
from installer.command import UNAVAILABLE, InstallError, run_command
from installer.environment import ensure_environment
from installer.layout import Layout
from installer.packages import ensure_uv, uv_environment
from installer.stamp import Stamp

_PART = "evidently"


def evidently_layout(layout: Layout) -> Layout:
    """The same checkout with Evidently's environment in place of Handful's."""
    return replace(layout, environment=".venv-evidently")


def ensure_evidently(layout: Layout) -> Path:
    """Install Evidently at its locked version, unless it is there; uv comes from Handful's own environment.

    Returns:
        The Python that has it.

    Raises:
        InstallError: it cannot be fetched.
    """
    own = evidently_layout(layout)
    ensure_environment(own)
    current = hashlib.sha256(own.evidently_lock.read_bytes()).hexdigest()
    stamp = Stamp.read(own)
    if stamp.parts.get(_PART) != current:
        ensure_uv(layout)
        print_status(f"installing Evidently into {own.venv.name}")
        failure = InstallError(
            "Evidently could not be installed, see above: once that is mended, run this again", UNAVAILABLE
        )
        command: list[str | Path] = [layout.tool("uv"), "pip", "install", "--python", own.python]
        run_command([*command, "--require-hashes", "--requirements", own.evidently_lock], failure, env=uv_environment())
        Stamp.read(own).write(own, {_PART: current})
    return own.python
