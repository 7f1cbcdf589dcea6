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
from handful_backup.artifact_folders import ArtifactFolder, ArtifactFolders
from handful_backup.artifacts import ArtifactFile, Content, Store, StoreResolver, is_missing_folder
from handful_backup.increment import BaseBackup
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
    file: ArtifactFile
    settled: bool

    @property
    def streams(self) -> bool:
        """Whether it is read while it is written to the backup, not fetched before.

        A file that may be written to meanwhile is always fetched, so that it can be compared with its store first.
        """
        return self.file.size > _SMALL or (self.store.is_local and self.settled)


@dataclass(slots=True)
class ArtifactExport:
    """Copies the artifacts of a server.

    Attributes:
        inherited: files that lie in the base backup.
        unreadable: files that could not be read, or changed whenever they were; folders that are not here.
        files: how many were copied.
        size: bytes; how large they are together.
    """

    stores: StoreResolver
    writer: BackupWriter
    progress: Progress
    jobs: int
    inherited: dict[str, Member] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)
    files: int = 0
    size: int = 0

    def run(self, folders: ArtifactFolders, base: BaseBackup | None) -> None:
        """Copy the files of the folders, but those that the base has."""
        self.progress.bytes("artifacts", 0)
        with ThreadPoolExecutor(self.jobs) as pool:
            files = self._files(pool, self._reachable(folders), base)
            for file, fetched in self._prefetch(pool, files):
                self._copy(file, fetched)

    def _reachable(self, folders: ArtifactFolders) -> Iterator[ArtifactFolder]:
        """The folders that can be here. A root of another machine is reported once, not for each folder below it."""
        is_missing: dict[str, bool] = {}
        for folder in folders:
            root = folders.root(folder)
            if root not in is_missing:
                is_missing[root] = is_missing_folder(root)
                self.unreadable += [root] if is_missing[root] else []
            if not is_missing[root]:
                yield folder

    def _files(
        self, pool: ThreadPoolExecutor, folders: Iterable[ArtifactFolder], base: BaseBackup | None
    ) -> Iterator[_File]:
        for folder, place, files in _map_ahead(pool, self._list, folders, 4 * self.jobs):
            if place is None:
                continue
            store, path = place
            for file in files:
                member = artifact_member(folder.kind, folder.id, file.path)
                if base and (kept := base.unchanged(member, folder, file)):
                    self.inherited[member] = kept
                else:
                    self.progress.grow(file.size)
                    yield _File(member, store, path, file, folder.settled)

    def _list(self, folder: ArtifactFolder) -> tuple[ArtifactFolder, tuple[Store, str] | None, list[ArtifactFile]]:
        try:
            store, path = self.stores.resolve(folder.uri)
            return folder, (store, path), list(store.list(path))
        except HandfulError:
            if folder.kind != "versions":
                raise
            # A version's source may be any URI: one that cannot be reached from here is reported and stops nothing.
            self.unreadable.append(folder.uri)
            return folder, None, []

    def _prefetch(
        self, pool: ThreadPoolExecutor, files: Iterator[_File]
    ) -> Iterator[tuple[_File, Future[IO[bytes] | None] | None]]:
        """Each file in its order, while the small ones after it are fetched."""
        waiting: deque[tuple[_File, Future[IO[bytes] | None] | None]] = deque()
        for file in files:
            waiting.append((file, None if file.streams else pool.submit(_fetch, file)))
            if len(waiting) > 2 * self.jobs:  # Bounds what lies fetched in memory or on disk.
                yield waiting.popleft()
        yield from waiting

    def _copy(self, file: _File, fetched: Future[IO[bytes] | None] | None) -> None:
        with contextlib.ExitStack() as stack:
            content = self._content(file, fetched, stack)
            if content is None:
                self.unreadable.append(file.member)
                return
            self.writer.file(file.member, content, file.file.size, self.progress.advance)
        self.files += 1
        self.size += self.writer.members[file.member].size

    def _content(
        self, file: _File, fetched: Future[IO[bytes] | None] | None, stack: contextlib.ExitStack
    ) -> Content | None:
        try:
            if fetched is None:
                return stack.enter_context(file.store.read(file.folder, file.file.path))
            copy = fetched.result()
        except FileNotFoundError:  # Removed since it was listed.
            return None
        return stack.enter_context(copy) if copy is not None else None


def _fetch(file: _File) -> IO[bytes] | None:
    """A copy of a file; None if it changed during each try, or was removed.

    The size and time of a file that is written to are compared after the copy with those before it.
    """
    expected = file.file
    for _ in range(_TRIES):
        copy = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  # The caller closes it.
        with file.store.read(file.folder, expected.path) as content:
            while chunk := content.read(_CHUNK):
                copy.write(chunk)
        size = copy.tell()
        copy.seek(0)
        now = expected if file.settled else _listed_again(file)
        if now is not None and (size == now.size or file.settled) and now.modified == expected.modified:
            return copy
        copy.close()
        if now is None:
            return None
        expected = now
    return None


def _listed_again(file: _File) -> ArtifactFile | None:
    return next((f for f in file.store.list(file.folder) if f.path == file.file.path), None)


def _map_ahead(
    pool: ThreadPoolExecutor, work: Callable[[_Item], _Result], items: Iterable[_Item], count: int
) -> Iterator[_Result]:
    """The results in the order of the items, `count` of them being worked on meanwhile.

    `pool.map` would take all items at once.
    """
    waiting: deque[Future[_Result]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) >= count:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
