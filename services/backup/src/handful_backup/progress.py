"""How far it is: rate and time left on stderr, silent where that is no terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self, TypeVar

from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import (
    Progress as Bars,
)

from handful_core.console import err

_Item = TypeVar("_Item")
_EVERY = 2000


class Progress:
    """A bar for bytes, and a line for rows while they pass. Several threads may report bytes."""

    def __init__(self) -> None:
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            DownloadColumn(),
            TransferSpeedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=err,
            disable=not err.is_terminal,
            transient=True,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def counted(self, name: str, items: Iterable[_Item]) -> Iterator[_Item]:
        """The items, counted while they pass."""
        with self._bars_of_rows() as bars:
            task = bars.add_task(name, total=None)
            for count, item in enumerate(items, 1):
                yield item
                if count % _EVERY == 0:  # Each call takes a lock, and there may be millions of rows.
                    bars.advance(task, _EVERY)

    def bytes(self, name: str, total: int) -> None:
        """Begin a bar of bytes."""
        self._bars.start()
        if self._task is not None:
            self._bars.remove_task(self._task)
        self._task = self._bars.add_task(name, total=total, visible=total > 0)

    def grow(self, count: int) -> None:
        """More bytes are to come than were known."""
        if self._task is not None:
            total = self._bars.tasks[0].total or 0  # There is one task at most.
            self._bars.update(self._task, total=total + count, visible=total + count > 0)

    def advance(self, count: int) -> None:
        """So many bytes are done."""
        if self._task is not None:
            self._bars.advance(self._task, count)

    def _bars_of_rows(self) -> Bars:
        return Bars(
            TextColumn("{task.description}: {task.completed:,.0f} rows"),
            console=err,
            disable=not err.is_terminal,
            transient=True,
        )


def size(count: int) -> str:
    """Bytes for a person."""
    return decimal(count)
