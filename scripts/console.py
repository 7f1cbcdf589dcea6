"""What the scripts print for the person at the terminal: on stderr, since stdout is for results."""

from __future__ import annotations

import sys


def print_status(line: str) -> None:
    """Print what happens now."""
    print(f"==> {line}", file=sys.stderr, flush=True)  # noqa: T201  # There is no Rich yet.


def print_error(line: str) -> None:
    """Print what is wrong."""
    print(f"error: {line}", file=sys.stderr, flush=True)  # noqa: T201
