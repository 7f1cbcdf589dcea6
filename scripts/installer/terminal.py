"""What the installer says, and the commands that it runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

NO_NETWORK = 5
"""Exit code, as of handful_core.errors.UnavailableError: a server that is needed does not answer."""
NO_RESOURCE = 6
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


def say(line: str) -> None:
    """A line for the person at the terminal."""
    print(f"==> {line}", file=sys.stderr, flush=True)  # noqa: T201  # There is no Rich yet.


def run(command: Sequence[str | Path], failure: InstallError, env: Mapping[str, str] | None = None) -> None:
    """Run a command whose output and progress the user sees.

    Raises:
        InstallError: `failure`, if the command failed.
    """
    try:
        subprocess.run([str(word) for word in command], check=True, env=env, stdout=sys.stderr)
    except (OSError, subprocess.CalledProcessError) as error:
        raise failure from error


def works(command: Sequence[str | Path], env: Mapping[str, str] | None = None, timeout: float = 60) -> bool:
    """Whether a command ends well within `timeout` seconds. Its output is not shown."""
    try:
        done = subprocess.run(
            [str(word) for word in command],
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
