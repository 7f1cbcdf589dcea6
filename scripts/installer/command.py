"""The commands that the installer runs, and the error when one fails."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

UNAVAILABLE = 5
"""Exit code, as of handful_core.errors.UnavailableError: a server that is needed does not answer."""
RESOURCE = 6
"""Exit code, as of handful_core.errors.ResourceError: the machine lacks something."""


class InstallError(Exception):
    """The installation cannot go on.

    Args:
        line: what is wrong and what to do about it.
        exit_code: what the program ends with.
    """

    def __init__(self, line: str, exit_code: int) -> None:
        super().__init__(line)
        self.exit_code = exit_code


def run_command(command: Sequence[str | Path], failure: InstallError, env: Mapping[str, str] | None = None) -> None:
    """Run a command whose output and progress the user sees.

    Raises:
        InstallError: `failure`, if the command failed.
    """
    try:
        subprocess.run([str(argument) for argument in command], check=True, env=env, stdout=sys.stderr)
    except (OSError, subprocess.CalledProcessError) as error:
        raise failure from error


def succeeds(command: Sequence[str | Path], env: Mapping[str, str] | None = None, timeout: float = 60) -> bool:
    """Whether a command ends well within `timeout` seconds. Its output is not shown."""
    try:
        done = subprocess.run(
            [str(argument) for argument in command],
            check=False,
            env=env,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
