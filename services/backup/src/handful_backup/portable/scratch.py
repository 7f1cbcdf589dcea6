"""A backup's rows in a temporary database, where those of one run are found at once."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from handful_backup.archive import BackupReader
from handful_backup.increment import DIGESTS
from handful_backup.selection import Chosen
from handful_backup.tables import BELONGS, PORTABLE
from handful_core.errors import ResourceError

_BATCH = 5000
_INDICES = {
    **{table: belongs.columns for table, belongs in BELONGS.items()},
    "inputs": ("source_id",),
    "input_tags": ("input_uuid",),
}
_MORE = {"inputs": "destination_id", "logged_model_metrics": "run_id", "logged_models": "source_run_id"}


class Scratch:
    """The tables that REST can fill.

    Args:
        path: of the database, which is made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._here = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._tables: set[str] = set()
        self._connection.execute("PRAGMA journal_mode=OFF")
        self._connection.execute("PRAGMA synchronous=OFF")

    def fill(self, backup: BackupReader, chosen: Chosen | None) -> None:
        """Take up a backup's rows.

        Args:
            backup: what goes in.
            chosen: what of it is wanted; None for all.

        Raises:
            ResourceError: there is no room for them.
        """
        try:
            for table in (*PORTABLE, DIGESTS):
                self._fill(table, backup, chosen)
            self._connection.commit()
        except sqlite3.OperationalError as error:  # SQLite's word for a full disk.
            raise ResourceError(
                f"there is no room for the backup's rows in {self._path.parent.parent} ({error})",
                "free disk space, or set TMPDIR to where there is some",
            ) from error

    def rows(self, table: str, where: str = "", *values: Any, order: str = "") -> Iterator[dict[str, Any]]:
        """Rows of a table.

        Args:
            table: its name.
            where: a condition in SQL.
            values: for its question marks.
            order: columns in SQL.
        """
        if table not in self._tables:  # A server of an older version may lack it.
            return
        words = f"SELECT * FROM {table}"  # noqa: S608  # Names of ours.
        words += f" WHERE {where}" if where else ""
        words += f" ORDER BY {order}" if order else ""
        cursor = self._connection.execute(words, values)
        names = [column[0] for column in cursor.description]
        for row in cursor:
            yield dict(zip(names, row, strict=True))

    def close(self) -> None:
        """Close what the threads opened."""
        for connection in self._connections:
            connection.close()

    @property
    def _connection(self) -> sqlite3.Connection:
        """This thread's own."""
        if not hasattr(self._here, "connection"):
            self._here.connection = sqlite3.connect(self._path, check_same_thread=False)
            self._connections.append(self._here.connection)
        connection: sqlite3.Connection = self._here.connection
        return connection

    def _fill(self, table: str, backup: BackupReader, chosen: Chosen | None) -> None:
        columns = backup.columns(table)
        if not columns:
            return
        self._tables.add(table)
        index = _INDICES.get(table, ("run_uuid",))
        names = dict.fromkeys([*columns, *index])
        self._connection.execute(f"CREATE TABLE {table} ({', '.join(_quoted(name) for name in names)})")
        batch: list[tuple[Any, ...]] = []
        insert = f"INSERT INTO {table} VALUES ({', '.join('?' * len(names))})"  # noqa: S608
        for row in backup.rows(table):
            if chosen is not None and table != DIGESTS and not chosen.takes(table, row):
                continue
            batch.append(tuple(row.get(name) for name in names))
            if len(batch) == _BATCH:
                self._connection.executemany(insert, batch)
                batch.clear()
        self._connection.executemany(insert, batch)
        for number, key in enumerate((index, *([(_MORE[table],)] if table in _MORE else ()))):
            words = ", ".join(map(_quoted, key))
            self._connection.execute(f"CREATE INDEX {table}_{number} ON {table} ({words})")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
