"""Rows on disk: a temporary database for an import, a file for each table for an export."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from handful_backup.archive import BackupReader
from handful_backup.archive.rows import decode_row, encode_row
from handful_backup.increment import DIGESTS
from handful_backup.portable.columns import COLUMNS
from handful_backup.selection import SelectedItems
from handful_backup.tables import OWNERSHIP, REST_TABLES
from handful_backup.temp_cleanup import work_folder
from handful_core.errors import ResourceError

_BATCH = 5000
_INDICES = {
    **{table: ownership.columns for table, ownership in OWNERSHIP.items()},
    "inputs": ("source_id",),
    "input_tags": ("input_uuid",),
}
_SECOND_INDEX = {"inputs": "destination_id", "logged_model_metrics": "run_id", "logged_models": "source_run_id"}


class StagingDatabase:
    """A backup's rows in SQLite, where those of one run are found at once.

    Threads may read at the same time.

    Args:
        path: of the database, which is created.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._per_thread = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._tables: set[str] = set()
        # It is thrown away with the job: nothing has to outlive a crash.
        self._connection.execute("PRAGMA journal_mode=OFF")
        self._connection.execute("PRAGMA synchronous=OFF")

    def fill(self, backup: BackupReader, selected: SelectedItems | None) -> None:
        """Take over a backup's rows, of the tables that REST can fill.

        Args:
            backup: what goes in.
            selected: what of it is wanted; None for all.

        Raises:
            ResourceError: there is no room for them.
        """
        try:
            for table in (*REST_TABLES, DIGESTS):
                self._fill(table, backup, selected)
            self._connection.commit()
        except sqlite3.OperationalError as error:  # SQLite's word for a full disk.
            raise ResourceError(
                f"there is no room for the backup's rows in {self._path.parent.parent} ({error})",
                "free disk space, or set TMPDIR to where there is some",
            ) from error

    def rows(self, table: str, where: str = "", *values: Any, order: str = "") -> Iterator[dict[str, Any]]:
        """Rows of a table; none of a table that the backup lacks.

        Args:
            table: its name.
            where: a condition in SQL.
            values: for its question marks.
            order: columns in SQL.
        """
        if table not in self._tables:  # A server of an older version may lack it.
            return
        query = f"SELECT * FROM {table}"  # noqa: S608  # Names of ours.
        query += f" WHERE {where}" if where else ""
        query += f" ORDER BY {order}" if order else ""
        cursor = self._connection.execute(query, values)
        names = [column[0] for column in cursor.description]
        for row in cursor:
            yield dict(zip(names, row, strict=True))

    def close(self) -> None:
        """Close the connections of all threads."""
        for connection in self._connections:
            connection.close()

    @property
    def _connection(self) -> sqlite3.Connection:
        """This thread's own: two threads that read through one connection would wait for each other."""
        if not hasattr(self._per_thread, "connection"):
            # `close` runs in another thread than the one that opened it.
            self._per_thread.connection = sqlite3.connect(self._path, check_same_thread=False)
            self._connections.append(self._per_thread.connection)
        connection: sqlite3.Connection = self._per_thread.connection
        return connection

    def _fill(self, table: str, backup: BackupReader, selected: SelectedItems | None) -> None:
        columns = backup.columns(table)
        if not columns:
            return
        self._tables.add(table)
        index = _INDICES.get(table, ("run_uuid",))
        # Backups made over REST lack some of the columns that are indexed, such as `workspace`.
        names = dict.fromkeys([*columns, *index])
        self._connection.execute(f"CREATE TABLE {table} ({', '.join(_quoted(name) for name in names)})")
        batch: list[tuple[Any, ...]] = []
        insert = f"INSERT INTO {table} VALUES ({', '.join('?' * len(names))})"  # noqa: S608
        for row in backup.rows(table):
            if selected is not None and table != DIGESTS and not selected.includes(table, row):
                continue
            batch.append(tuple(row.get(name) for name in names))
            if len(batch) == _BATCH:
                self._connection.executemany(insert, batch)
                batch.clear()
        self._connection.executemany(insert, batch)
        self._create_indices(table, index)

    def _create_indices(self, table: str, first: Sequence[str]) -> None:
        second = [(_SECOND_INDEX[table],)] if table in _SECOND_INDEX else []
        for number, columns in enumerate([first, *second]):
            names = ", ".join(map(_quoted, columns))
            self._connection.execute(f"CREATE INDEX {table}_{number} ON {table} ({names})")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


class Spool:
    """Rows by table, in a temporary folder that `close` removes.

    One answer of MLflow has rows of several tables; a backup wants one table after the other.
    """

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
