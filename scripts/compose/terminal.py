"""What is said to the person at the terminal."""

from __future__ import annotations

import sys


def say(line: str) -> None:
    """A line on stderr: stdout belongs to the commands that run in containers."""
    print(f"==> {line}", file=sys.stderr, flush=True)  # noqa: T201  # There is no Rich yet.


def complain(line: str) -> None:
    """The line of an error."""
    print(f"error: {line}", file=sys.stderr, flush=True)  # noqa: T201
