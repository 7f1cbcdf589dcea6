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
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from handful_core.errors import HandfulError

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)


def progress(*more: ProgressColumn) -> Progress:
    """A progress bar on stderr, with the count, the time gone and the time left; silent where stderr is no terminal.

    Args:
        more: columns to show besides.
    """
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        *more,
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=err,
        disable=not err.is_terminal,
        transient=True,
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
    """A result for a person."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    out.print(table)
