"""Rows on disk, by table: answers bring several tables' rows at once, a backup wants one table after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from handful_backup.archive.rows import decode_row, encode_row
from handful_backup.leftovers import work_folder
from handful_backup.portable.columns import COLUMNS


class Spool:
    """A file for each table, in a temporary folder, which `close` removes."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._folder = self._stack.enter_context(work_folder())
        self._files: dict[str, IO[bytes]] = {}

    def close(self) -> None:
        """Remove the files."""
        self._stack.close()

    def add(self, table: str, **values: Any) -> None:
        """Add a row; columns that are not named are empty."""
        self._file(table).write(encode_row([values.get(column) for column in COLUMNS[table]]))

    def rows(self, table: str) -> Iterator[Sequence[Any]]:
        """A table's rows."""
        self._file(table).flush()
        with self._path(table).open("rb") as lines:
            yield from map(decode_row, lines)

    def _file(self, table: str) -> IO[bytes]:
        if table not in self._files:
            self._files[table] = self._stack.enter_context(self._path(table).open("wb"))
        return self._files[table]

    def _path(self, table: str) -> Path:
        return self._folder / f"{table}.jsonl"
