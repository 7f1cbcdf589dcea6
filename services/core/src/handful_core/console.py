"""What commands show: words and progress on stderr, results on stdout."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from handful_core.errors import HandfulError

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)


_LINE_SECONDS = 30.0
"""How often a long step says how far it is, where there is no terminal."""


_WIDEST = 10_000
"""Columns of a table that goes into a file."""
_ESTIMATE_SECONDS = 300.0
"""The time left is estimated by the steps of so long: a single one may take half a minute."""


class _Progress(Progress):
    """A bar on a terminal; elsewhere a line from time to time."""

    _told = 0.0

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """One step further."""
        super().advance(task_id, advance)
        self._tell(task_id)

    def update(self, task_id: TaskID, **changes: Any) -> None:
        """Other words, or further."""
        super().update(task_id, **changes)
        self._tell(task_id)

    def _tell(self, task_id: TaskID) -> None:
        with self._lock:
            task, now = self._tasks[task_id], time.monotonic()
            self._told = self._told or now
            if not self.disable or now < self._told + _LINE_SECONDS:
                return
            self._told = now
            times = f"{_clock(task.elapsed)} elapsed, {_clock(task.time_remaining)} left"
            total = "" if task.total is None else f" of {task.total:.0f}"
            # A task's description may hold a file's name: it is no markup.
            err.print(f"{task.description}: {task.completed:.0f}{total}, {times}", highlight=False, markup=False)


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    hours, minutes = divmod(int(seconds) // 60, 60)
    return f"{hours}:{minutes:02}:{int(seconds) % 60:02}"


def progress(*more: ProgressColumn) -> Progress:
    """A progress bar on stderr, with the count, the time elapsed and the time left.

    Where stderr is no terminal, a line says the same every 30 s.

    Args:
        more: columns to show besides.
    """
    return _Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        *more,
        TimeElapsedColumn(),
        TextColumn("elapsed,"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=err,
        disable=not err.is_terminal,
        transient=True,
        speed_estimate_period=_ESTIMATE_SECONDS,
    )


def say(message: str) -> None:
    """A line for the person at the terminal."""
    err.print(message, highlight=False)


class Step:
    """A part of a longer job, as a context manager: how long it took and what came of it.

        with Step("package") as step:
            step.result = f"{build().size} bytes"

    Attributes:
        name: what a table of all steps calls it.
        seconds: how long it took.
        result: what came of it, in words. A failed step says why, if the error is one of Handful's.
        failed: whether it ended with an error.
    """

    def __init__(self, name: str, result: str = "done", seconds: float = 0) -> None:
        self.name, self.result, self.seconds, self.failed = name, result, seconds, False

    def __enter__(self) -> Self:
        self._began = time.perf_counter()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.seconds = time.perf_counter() - self._began
        # An interruption is no failure: the job can be resumed.
        if isinstance(error, Exception):
            self.failed = True
            self.result = f"failed: {error.message}" if isinstance(error, HandfulError) else "failed"


@contextlib.contextmanager
def only_results_on_stdout() -> Iterator[None]:
    """Send what libraries print to stderr: stdout is for the result alone."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def print_json(value: Any) -> None:
    """A result for another program, alone on stdout."""
    json.dump(value, sys.stdout, indent=2, default=str)
    sys.stdout.write("\n")


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A result for a person. Nothing is cut: a terminal gets long words folded, a file gets long lines."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    if not out.is_terminal:
        out.width = _WIDEST
    out.print(table)
