"""What a verification found, and how rows and artifacts are compared."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from handful_backup.archive import Member
from handful_backup.archive.names import parse_artifact
from handful_backup.archive.rows import encode_row
from handful_backup.artifacts import StoreResolver
from handful_backup.compared_fields import Values
from handful_backup.progress import Progress
from handful_backup.temp_cleanup import work_folder

_EXAMPLES = 3
_BATCH = 10_000
_CHUNK = 1 << 20


@dataclass(slots=True)
class Finding:
    """One table, or the artifacts."""

    name: str
    expected: int = 0
    missing: int = 0
    """Not on the server, or different there."""
    examples: list[str] = field(default_factory=list)

    def miss(self, what: str) -> None:
        """Count something that is not there as it should be."""
        self.missing += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(what)


@dataclass(slots=True)
class Report:
    """All findings."""

    way: str
    findings: list[Finding] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether all is there."""
        return not any(finding.missing for finding in self.findings)

    def table(self) -> Iterable[tuple[str, int, int, str]]:
        """Rows for a person."""
        return [(f.name, f.expected, f.missing, "; ".join(f.examples)) for f in self.findings if f.expected]

    def as_json(self) -> dict[str, Any]:
        """For another program."""
        found = {f.name: {"expected": f.expected, "missing": f.missing, "examples": f.examples} for f in self.findings}
        return {"way": self.way, "holds": self.holds, "findings": found}


class RowSet:
    """A set of rows, however many: their hashes in a temporary database.

    Args:
        path: of the database, which is created.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path)
        self._connection.execute("PRAGMA journal_mode=OFF")
        self._connection.execute("PRAGMA synchronous=OFF")

    def compare(self, name: str, expected: Iterable[Values], actual: Iterable[Values]) -> Finding:
        """Look for rows among the actual ones.

        Args:
            name: of the table.
            expected: the rows that must be there.
            actual: those of the server.
        """
        self._connection.execute("DROP TABLE IF EXISTS actual")
        self._connection.execute("CREATE TABLE actual (digest BLOB PRIMARY KEY) WITHOUT ROWID")
        for batch in _batches(actual):
            digests = [(_digest(row),) for row in batch]
            self._connection.executemany("INSERT OR IGNORE INTO actual VALUES (?)", digests)
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
        return self._connection.execute("SELECT 1 FROM actual WHERE digest = ?", (digest,)).fetchone() is not None


@contextmanager
def row_set() -> Iterator[RowSet]:
    """A set of rows in a temporary folder."""
    with work_folder() as folder:
        rows = RowSet(folder / "rows.db")
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


def compare_artifacts(
    members: Mapping[str, Member],
    find: Callable[[str, str], str | None],
    stores: StoreResolver,
    progress: Progress,
    jobs: int,
) -> Finding:
    """Read every artifact from the server and compare its hash.

    Args:
        members: the backup's artifacts.
        find: the server's URI of an artifact folder, by kind and id; None if it is not there.
        stores: where artifacts are.
        progress: shows how far it is.
        jobs: downloads at the same time.
    """
    finding = Finding("artifacts")
    progress.bytes("artifacts", sum(member.size for member in members.values()))

    def same(item: tuple[str, Member]) -> bool:
        name, member = item
        kind, owner, path = parse_artifact(name)
        uri = find(kind, owner)
        return uri is not None and _hash(stores, uri, path, progress) == member.sha256

    with ThreadPoolExecutor(jobs) as pool:
        for name, is_same in zip(members, pool.map(same, members.items()), strict=True):
            finding.expected += 1
            if not is_same:
                finding.miss(name)
    return finding


def _hash(stores: StoreResolver, uri: str, path: str, progress: Progress) -> str:
    store, folder = stores.resolve(uri)
    digest = hashlib.sha256()
    try:
        with store.read(folder, path) as content:
            while chunk := content.read(_CHUNK):
                digest.update(chunk)
                progress.advance(len(chunk))
    except FileNotFoundError:
        return ""
    return digest.hexdigest()
