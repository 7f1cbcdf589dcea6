"""Writing a backup: a stream from the first member to the manifest, which is the last."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from types import TracebackType
from typing import IO, Protocol, Self

from handful_backup.archive import container
from handful_backup.archive.manifest import MANIFEST, Manifest, Member
from handful_backup.archive.names import table_member
from handful_backup.archive.rows import Row, encode_row, encode_rows

CHUNK = 1 << 20
_SAMPLE = 1 << 16
_PAYS = 0.9
"""Compressed to more than this share of itself, a file is stored."""
_NEVER = 64 << 20
"""Bytes. Larger files are weights and archives in practice; stored, they cannot be taken for a bomb."""
_BATCH = 256
"""Rows that are encoded together."""


class Readable(Protocol):
    """What can be read in chunks."""

    def read(self, size: int = ..., /) -> bytes:
        """The next bytes; none at the end."""


class BackupWriter:
    """A backup on a stream, which need not be seekable.

    Args:
        stream: where the ZIP goes.
        passphrase: locks every member.
    """

    def __init__(self, stream: IO[bytes], passphrase: str | None = None) -> None:
        self._zip = container.create(stream, passphrase)
        self._locked = bool(passphrase)
        self.members: dict[str, Member] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._zip.fp = None  # Broken off, it gets no directory, which would make it look whole.
        self._zip.close()

    def table(self, table: str, columns: Sequence[str], rows: Iterable[Row]) -> int:
        """Write a table; the number of its rows."""
        name = table_member(table)
        count = 0
        with self._member(name, deflated=True) as member:
            member.write(encode_row([{"table": table, "columns": list(columns)}]))
            rest = iter(rows)
            while batch := list(islice(rest, _BATCH)):
                member.write(encode_rows(batch))
                count += len(batch)
        self.members[name] = Member(size=member.size, sha256=member.sha256, rows=count)
        return count

    def file(self, name: str, content: Readable, size: int, advance: Callable[[int], None]) -> None:
        """Write a file, stored if compression does not pay.

        Args:
            name: the member's.
            content: the file's.
            size: bytes that are expected.
            advance: called with the number of bytes after each chunk.
        """
        first = content.read(_SAMPLE)
        deflated = size <= _NEVER and len(zlib.compress(first, 1)) < _PAYS * len(first)
        with self._member(name, deflated=deflated) as member:
            chunk = first
            while chunk:
                member.write(chunk)
                advance(len(chunk))
                chunk = content.read(CHUNK)
        self.members[name] = Member(size=member.size, sha256=member.sha256)

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest, with which a backup is whole."""
        text = manifest.model_copy(update={"members": self.members}).model_dump_json(indent=1)
        with self._member(MANIFEST, deflated=True) as member:
            member.write(text.encode())

    def _member(self, name: str, *, deflated: bool) -> _Hashed:
        info = container.entry(name, deflated=deflated, locked=self._locked)
        info._compresslevel = 1  # type: ignore[attr-defined]  # open() takes no level; higher ones save little.
        return _Hashed(self._zip, info)


class _Hashed:
    """A member that is hashed while it is written."""

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        self._file = archive.open(info, "w", force_zip64=True)
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def write(self, chunk: bytes) -> None:
        self._hash.update(chunk)
        self.size += len(chunk)
        self._file.write(chunk)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
