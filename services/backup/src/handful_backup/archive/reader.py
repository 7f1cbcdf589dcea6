"""Reading a backup: nothing is believed before its hash was seen."""

from __future__ import annotations

import hashlib
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from pydantic import ValidationError

from handful_backup.archive import container
from handful_backup.archive.manifest import FORMAT_VERSION, MANIFEST, Manifest, Member
from handful_backup.archive.names import TABLES, is_artifact, is_safe, table_member
from handful_backup.archive.rows import decode_row
from handful_backup.errors import DamagedBackupError
from handful_core.errors import ConfigError

_CHUNK = 1 << 20
_BROKEN = (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError, OSError)
_BOMB_SIZE = 100 << 20
_BOMB_RATIO = 250
"""How many times larger than packed a member may be: tables shrink to a thirtieth, and large files are stored."""
_LONGEST_LINE = 64 << 20
"""Bytes of a row. A longer one is cut off here, and refused as no row, before it fills the memory."""
_LARGEST_MANIFEST = 512 << 20


class BackupReader:
    """A backup's file.

    Args:
        path: the ZIP.
        passphrase: of a locked one.

    Raises:
        DamagedBackupError: no whole ZIP of ours, an unsafe one, an unknown version, or a wrong passphrase.
        ConfigError: it is locked and there is no passphrase.
    """

    def __init__(self, path: Path, passphrase: str | None = None) -> None:
        self.path = path
        self._stream = path.open("rb")
        try:
            self._zip, self._infos = self._open(passphrase)
            self.manifest = self._manifest()
            self._compare()
        except BaseException:
            self._stream.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()
        self._stream.close()

    @property
    def tables(self) -> Iterator[str]:
        """The tables' names, in the order in which rows need those before them."""
        names = (name for name in self.manifest.members if name.startswith(TABLES))
        return (name.removeprefix(TABLES).removesuffix(".jsonl") for name in names)

    @property
    def artifacts(self) -> Mapping[str, Member]:
        """The artifacts' members."""
        return {name: member for name, member in self.manifest.members.items() if is_artifact(name)}

    def has(self, table: str) -> bool:
        """Whether the backup has the table."""
        return table_member(table) in self.manifest.members

    def columns(self, table: str) -> list[str]:
        """A table's columns; none of a table that is not there."""
        if not self.has(table):
            return []
        with self.open(table_member(table)) as file:
            return self._header(table, file.readline(_LONGEST_LINE))

    def rows(self, table: str) -> Iterator[dict[str, Any]]:
        """A table's rows, by column."""
        if not self.has(table):
            return
        with self.open(table_member(table)) as file:
            columns = self._header(table, file.readline(_LONGEST_LINE))
            while line := file.readline(_LONGEST_LINE):
                yield dict(zip(columns, self._row(table, line), strict=True))

    def open(self, member: str) -> IO[bytes]:
        """A member's content; several can be open and read at the same time."""
        # In some Pythons, 3.12.1 for one, what another thread reads between a member's header and its content moves
        # where that begins. The lock is the one, reentrant, under which members share the file.
        with self._zip._lock:  # type: ignore[attr-defined]
            return self._zip.open(self._infos[member])

    def check(self, advance: Callable[[int], None] = lambda _: None) -> None:
        """Read all of it and compare every hash and count.

        Args:
            advance: called with the number of bytes after each chunk.

        Raises:
            DamagedBackupError: a member is not what the manifest says.
        """
        for name, member in self.manifest.members.items():
            digest = hashlib.sha256()
            lines = size = 0
            try:
                with self.open(name) as file:
                    while chunk := file.read(_CHUNK):
                        digest.update(chunk)
                        size += len(chunk)
                        lines += chunk.count(b"\n") if member.rows is not None else 0
                        advance(len(chunk))
            except (*_BROKEN, RuntimeError) as error:
                raise self._damaged(f"its member {name} cannot be read ({error})") from error
            if (size, digest.hexdigest()) != (member.size, member.sha256):
                raise self._damaged(f"its member {name} is not what the manifest says")
            if member.rows is not None and lines != member.rows + 1:
                raise self._damaged(f"{name} has {lines - 1} rows and not {member.rows}")

    def _open(self, passphrase: str | None) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
        try:
            archive = zipfile.ZipFile(self._stream)
            members = archive.infolist()
        except _BROKEN as error:
            raise self._damaged(f"it is no whole ZIP file ({error})") from error
        for info in members:
            self._check_entry(info)
        if len({info.filename for info in members}) != len(members):
            raise self._damaged("it holds a name twice")
        if any(info.flag_bits & container.ENCRYPTED for info in members):
            if not passphrase:
                raise ConfigError(f"{self.path} is locked", "set HANDFUL_BACKUP_PASSPHRASE, or use --passphrase-file")
            archive = container.unlock(self._stream, passphrase)
        return archive, {info.filename: info for info in archive.infolist()}

    def _check_entry(self, info: zipfile.ZipInfo) -> None:
        mode = info.external_attr >> 16
        if info.is_dir() or not is_safe(info.filename) or (stat.S_IFMT(mode) and not stat.S_ISREG(mode)):
            raise self._damaged(f"it holds the unsafe name {info.filename!r}")
        largest = max(info.compress_size, 1) * _BOMB_RATIO
        if info.file_size > _BOMB_SIZE and info.file_size > largest:
            raise self._damaged(f"{info.filename} would unpack to {info.file_size >> 20} MiB: a bomb")

    def _manifest(self) -> Manifest:
        info = self._infos.get(MANIFEST)
        if info is None or info.file_size > _LARGEST_MANIFEST:
            raise self._damaged("it has no manifest.json: it is no backup, or its export did not end")
        try:
            manifest = Manifest.model_validate_json(self._zip.read(info))
        except RuntimeError as error:  # zipfile's and pyzipper's word for a wrong passphrase.
            raise DamagedBackupError(
                f"{self.path} does not open with this passphrase", "use the one it was made with"
            ) from error
        except (*_BROKEN, ValidationError) as error:
            raise self._damaged("its manifest.json cannot be understood") from error
        if manifest.format_version.split(".")[0] != FORMAT_VERSION.split(".")[0]:
            raise DamagedBackupError(
                f"{self.path} has the format {manifest.format_version}; this Handful reads {FORMAT_VERSION}",
                "use the version of Handful that made it, or a newer one",
            )
        return manifest

    def _compare(self) -> None:
        """The ZIP's own directory against the manifest: same members, same sizes."""
        listed = self.manifest.members
        if set(listed) | {MANIFEST} != set(self._infos):
            odd = sorted((set(listed) | {MANIFEST}) ^ set(self._infos))
            raise self._damaged(f"its members are not those of its manifest ({odd[0]!r})")
        for name, member in listed.items():
            if self._infos[name].file_size != member.size:
                raise self._damaged(f"its member {name} is not what the manifest says")
        for name in self.manifest.inherited:
            if not (is_safe(name) and is_artifact(name)):
                raise self._damaged(f"it holds the unsafe name {name!r}")

    def _header(self, table: str, line: bytes) -> list[str]:
        try:
            (header,) = decode_row(line)
            return [str(column) for column in header["columns"]]
        except (ValueError, KeyError, TypeError) as error:
            raise self._damaged(f"the table {table} has no columns") from error

    def _row(self, table: str, line: bytes) -> list[Any]:
        try:
            return decode_row(line)
        except ValueError as error:
            raise self._damaged(f"the table {table} has a line that is no row") from error

    def _damaged(self, what: str) -> DamagedBackupError:
        return DamagedBackupError(f"{self.path} is not usable: {what}", "take another backup; nothing was changed")
