"""DVC, in an environment of its own: its S3 client needs an older botocore than Handful's."""

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

_PART = "dvc"


def dvc_layout(layout: Layout) -> Layout:
    """The same checkout with DVC's environment in place of Handful's."""
    return replace(layout, environment=".venv-dvc")


def ensure_dvc(layout: Layout) -> Path:
    """Install DVC at its locked version, unless it is there; uv comes from Handful's own environment.

    Returns:
        The program.

    Raises:
        InstallError: it cannot be fetched.
    """
    own = dvc_layout(layout)
    ensure_environment(own)
    current = _fingerprint(own)
    if not has_dvc(layout):
        ensure_uv(layout)
        print_status(f"installing DVC into {own.venv.name}")
        failure = InstallError(
            "DVC could not be installed, see above: once that is mended, run this again", UNAVAILABLE
        )
        run_command(_command(layout, own), failure, env=uv_environment())
        Stamp.read(own).write(own, {_PART: current})
    return own.tool("dvc")


def has_dvc(layout: Layout) -> bool:
    """Whether DVC is installed at its locked version."""
    own = dvc_layout(layout)
    stamp = Stamp.read(own)
    return not stamp.moved(own) and own.tool("dvc").exists() and stamp.parts.get(_PART) == _fingerprint(own)


def _command(layout: Layout, own: Layout) -> list[str | Path]:
    locked = own.dvc_lock
    # One of its packages is there as source only: what builds it is locked, too.
    options: list[str | Path] = ["--python", own.python, "--compile-bytecode", "--build-constraints", locked]
    return [layout.tool("uv"), "pip", "install", *options, "--require-hashes", "--requirements", locked]


def _fingerprint(own: Layout) -> str:
    """A hash of what decides what is installed: the locked versions and the Python."""
    config = own.venv / "pyvenv.cfg"
    parts = [own.dvc_lock.read_bytes(), config.read_bytes() if config.is_file() else b""]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()
