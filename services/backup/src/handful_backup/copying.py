"""Copying artifacts into a backup: small files are fetched several at a time, large ones stream."""

from __future__ import annotations

import contextlib
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import IO, TypeVar

from handful_backup.archive import BackupWriter, Member
from handful_backup.archive.names import artifact_member
from handful_backup.artifacts import Content, Entry, Places, Store, is_elsewhere
from handful_backup.holders import Holder, Holders
from handful_backup.increment import Base
from handful_backup.progress import Progress
from handful_core.errors import HandfulError

_SMALL = 32 << 20
"""Bytes. Larger files fill the line alone."""
_IN_MEMORY = 1 << 20
_CHUNK = 1 << 20
_TRIES = 3

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class _File:
    """A file to be copied."""

    member: str
    store: Store
    folder: str
    entry: Entry
    settled: bool


@dataclass(slots=True)
class Copying:
    """A copy of many files.

    Attributes:
        inherited: files that lie in the base backup.
        unreadable: files that could not be read, or changed whenever they were; folders that are not here.
        files: how many were copied.
        size: bytes; how large they are together.
    """

    places: Places
    writer: BackupWriter
    progress: Progress
    jobs: int
    inherited: dict[str, Member] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)
    files: int = 0
    size: int = 0

    def run(self, holders: Holders, base: Base | None) -> None:
        """Copy the files of the holders, but those that the base has."""
        self.progress.bytes("artifacts", 0)
        with ThreadPoolExecutor(self.jobs) as pool:
            for file, fetched in self._ahead(pool, self._files(pool, self._here(holders), base)):
                self._take(file, fetched)

    def _here(self, holders: Holders) -> Iterator[Holder]:
        """The holders whose files can be here; a folder of another machine is told once, for all that lies in it."""
        elsewhere: dict[str, bool] = {}
        for holder in holders:
            root = holders.root(holder)
            if root not in elsewhere:
                elsewhere[root] = is_elsewhere(root)
                self.unreadable += [root] if elsewhere[root] else []
            if not elsewhere[root]:
                yield holder

    def _files(self, pool: ThreadPoolExecutor, holders: Iterable[Holder], base: Base | None) -> Iterator[_File]:
        for holder, place, entries in _ahead_of(pool, self._listed, holders, 4 * self.jobs):
            if place is None:
                continue
            for entry in entries:
                member = artifact_member(holder.kind, holder.id, entry.path)
                if base and (kept := base.unchanged(member, holder, entry)):
                    self.inherited[member] = kept
                else:
                    self.progress.grow(entry.size)
                    yield _File(member, place[0], place[1], entry, holder.settled)

    def _listed(self, holder: Holder) -> tuple[Holder, tuple[Store, str] | None, list[Entry]]:
        try:
            place = self.places.find(holder.uri)
            return holder, place, list(place[0].list(place[1]))
        except HandfulError:
            if holder.kind != "versions":
                raise
            # A version may come from anywhere: what cannot be reached from here is told, and stops nothing.
            self.unreadable.append(holder.uri)
            return holder, None, []

    def _ahead(
        self, pool: ThreadPoolExecutor, files: Iterator[_File]
    ) -> Iterator[tuple[_File, Future[IO[bytes] | None] | None]]:
        """Each file, small ones being fetched meanwhile; in their order."""
        waiting: deque[tuple[_File, Future[IO[bytes] | None] | None]] = deque()
        for file in files:
            streams = file.entry.size > _SMALL or (file.store.is_near and file.settled)
            waiting.append((file, None if streams else pool.submit(_fetch, file)))
            if len(waiting) > 2 * self.jobs:
                yield waiting.popleft()
        yield from waiting

    def _take(self, file: _File, fetched: Future[IO[bytes] | None] | None) -> None:
        with contextlib.ExitStack() as stack:
            content = self._content(file, fetched, stack)
            if content is None:
                self.unreadable.append(file.member)
                return
            self.writer.file(file.member, content, file.entry.size, self.progress.advance)
        self.files += 1
        self.size += self.writer.members[file.member].size

    def _content(
        self, file: _File, fetched: Future[IO[bytes] | None] | None, stack: contextlib.ExitStack
    ) -> Content | None:
        try:
            if fetched is None:
                return stack.enter_context(file.store.read(file.folder, file.entry.path))
            copy = fetched.result()
        except FileNotFoundError:  # Removed since it was listed.
            return None
        return stack.enter_context(copy) if copy is not None else None


def _fetch(file: _File) -> IO[bytes] | None:
    """A copy of a file; of one that may be written meanwhile, a copy from which it does not differ."""
    expected = file.entry
    for _ in range(_TRIES):
        copy = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  # The caller closes it.
        with file.store.read(file.folder, expected.path) as content:
            while chunk := content.read(_CHUNK):
                copy.write(chunk)
        size = copy.tell()
        copy.seek(0)
        now = expected if file.settled else _again(file)
        if now is not None and (size == now.size or file.settled) and now.modified == expected.modified:
            return copy
        copy.close()
        if now is None:
            return None
        expected = now
    return None


def _again(file: _File) -> Entry | None:
    return next((e for e in file.store.list(file.folder) if e.path == file.entry.path), None)


def _ahead_of(
    pool: ThreadPoolExecutor, work: Callable[[_Item], _Result], items: Iterable[_Item], count: int
) -> Iterator[_Result]:
    """The results in their order, this many of them being worked on meanwhile."""
    waiting: deque[Future[_Result]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) >= count:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
