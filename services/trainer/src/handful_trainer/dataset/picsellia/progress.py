"""A pull's progress: a bar with rate and time left on a terminal, a line every 20 seconds in a log."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.progress import ProgressColumn, Task
from rich.text import Text

from handful_core.console import err, progress, say

_LOG_INTERVAL = 20.0
"""Seconds between two lines where there is no terminal."""


class _Rate(ProgressColumn):
    """How many a second."""

    def render(self, task: Task) -> Text:
        """Rich's own idea of the speed, in words."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f}/s" if speed else "")


class Progress:
    """One pull's steps. Used as a context."""

    def __init__(self) -> None:
        self._bar = progress(_Rate())
        self._task = self._bar.add_task("", total=None)
        self._what = ""
        self._total = self._done = 0
        self._started = self._last_logged = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def step(self, what: str, total: int) -> None:
        """Begin something else.

        Args:
            what: in words, such as "fetching images".
            total: how many there are.
        """
        self._what, self._total, self._done = what, total, 0
        self._started = self._last_logged = time.monotonic()
        self._bar.reset(self._task, description=what, total=total)

    def reached(self, done: int, total: int) -> None:
        """So many of so many are done: for steps whose size shows only on the way."""
        self._total = total
        self._bar.update(self._task, total=total)
        self.advance(done - self._done)

    def advance(self, more: int = 1) -> None:
        """So many more are done."""
        self._done += more
        self._bar.advance(self._task, more)
        now = time.monotonic()
        if not err.is_terminal and now - self._last_logged >= _LOG_INTERVAL:
            self._last_logged = now
            say(self._line(now - self._started))

    def _line(self, seconds: float) -> str:
        rate = self._done / max(seconds, 1e-9)
        left = (self._total - self._done) / rate if rate else 0
        return f"{self._what}: {self._done} of {self._total}, {rate:.1f} a second, {left:.0f} s left"
