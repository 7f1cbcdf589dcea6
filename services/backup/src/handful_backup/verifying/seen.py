"""Rows that were seen, however many: their hashes in a temporary database."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from handful_backup.archive.rows import encode_row
from handful_backup.leftovers import work_folder
from handful_backup.verifying.report import Finding

Values = tuple[Any, ...]
_BATCH = 10_000


class Seen:
    """A set of rows.

    Args:
        path: of the database, which is made.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path)
        self._connection.execute("PRAGMA journal_mode=OFF")
        self._connection.execute("PRAGMA synchronous=OFF")

    def compare(self, name: str, expected: Iterable[Values], actual: Iterable[Values]) -> Finding:
        """Look for rows among others.

        Args:
            name: of the table.
            expected: the rows that must be there.
            actual: those that are.
        """
        self._connection.execute("DROP TABLE IF EXISTS seen")
        self._connection.execute("CREATE TABLE seen (digest BLOB PRIMARY KEY) WITHOUT ROWID")
        for batch in _batches(actual):
            digests = [(_digest(row),) for row in batch]
            self._connection.executemany("INSERT OR IGNORE INTO seen VALUES (?)", digests)
        finding = Finding(name)
        for batch in _batches(expected):
            for row in batch:
                finding.expected += 1
                if not self._has(_digest(row)):
                    finding.miss(_shown(row))
        return finding

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def _has(self, digest: bytes) -> bool:
        return self._connection.execute("SELECT 1 FROM seen WHERE digest = ?", (digest,)).fetchone() is not None


@contextmanager
def seen() -> Iterator[Seen]:
    """A set of rows in a temporary folder."""
    with work_folder() as folder:
        rows = Seen(folder / "seen.db")
        try:
            yield rows
        finally:
            rows.close()


def _digest(row: Values) -> bytes:
    plain = [json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else value for value in row]
    return hashlib.blake2b(encode_row(plain), digest_size=16).digest()


def _shown(row: Values) -> str:
    text = ", ".join(str(value) for value in row if value is not None)
    return text if len(text) <= 120 else f"{text[:117]}..."


def _batches(rows: Iterable[Values]) -> Iterator[list[Values]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, _BATCH)):
        yield batch
