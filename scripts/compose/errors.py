"""The one error, and the exit codes: those of handful_core.errors."""

from __future__ import annotations

FAILED = 1
CONFIG = 2
UNAVAILABLE = 5
RESOURCE = 6
INTERRUPTED = 130


class ComposeError(Exception):
    """It cannot go on.

    Args:
        line: what is wrong and what to do about it.
        exit_code: what the program ends with.
    """

    def __init__(self, line: str, exit_code: int = FAILED) -> None:
        super().__init__(line)
        self.exit_code = exit_code
