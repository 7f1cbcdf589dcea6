"""Rows on disk, by table: answers bring several tables' rows at once, a backup wants one table after the other."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import IO, Any

from handful_backup.archive.rows import decode_row, encode_row
from handful_backup.portable.columns import COLUMNS


class Spool:
    """A temporary file for each table."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._files: dict[str, IO[bytes]] = {}

    def add(self, table: str, **values: Any) -> None:
        """Add a row; columns that are not named are empty."""
        self._file(table).write(encode_row([values.get(column) for column in COLUMNS[table]]))

    def rows(self, table: str) -> Iterator[Sequence[Any]]:
        """A table's rows."""
        file = self._file(table)
        file.flush()
        with open(file.name, "rb") as lines:  # noqa: PTH123  # A place of its own in the file for each reader.
            yield from map(decode_row, lines)

    def _file(self, table: str) -> IO[bytes]:
        if table not in self._files:
            file = tempfile.NamedTemporaryFile(prefix=f"handful-{table}-", suffix=".jsonl")  # noqa: SIM115  # The stack's.
            self._files[table] = self._stack.enter_context(file)
        return self._files[table]
