"""Sending a backup's artifacts to where they belong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from handful_backup.archive import BackupReader
from handful_backup.archive.names import parse_artifact
from handful_backup.artifacts import Places
from handful_backup.progress import Progress

Folder = tuple[str, str]
"""Kind and id of a holder."""


@dataclass(slots=True)
class Restoring:
    """Sends files, each whole or not at all."""

    backup: BackupReader
    places: Places
    progress: Progress
    jobs: int

    def by_folder(self) -> Mapping[Folder, list[str]]:
        """The backup's artifacts by the folder that they lie in."""
        folders: dict[Folder, list[str]] = {}
        for member in self.backup.artifacts:
            kind, name, _ = parse_artifact(member)
            folders.setdefault((kind, name), []).append(member)
        return folders

    def run(self, folders: Iterable[tuple[Folder, str, bool]]) -> int:
        """Send the files of folders.

        Args:
            folders: each with the URI that it goes to, and whether what is there gives way.

        Returns:
            How many were sent.
        """
        wanted = self.by_folder()
        work = [(wanted[folder], uri, replace) for folder, uri, replace in folders if folder in wanted]
        self.progress.bytes("artifacts", sum(self.backup.artifacts[m].size for members, *_ in work for m in members))
        with ThreadPoolExecutor(self.jobs) as pool:
            return sum(pool.map(lambda job: self.send(job[0], job[1], replace=job[2]), work))

    def send(self, members: Iterable[str], uri: str, *, replace: bool) -> int:
        """Send files below one URI.

        Args:
            members: the files.
            uri: the folder that they go to.
            replace: whether that holds files of its own, which may differ and have the same size. Else what is there
                with the same size was sent by an import that was broken off, and is not sent again.

        Returns:
            How many were sent.
        """
        store, folder = self.places.find(uri)
        there = {} if replace else {entry.path: entry.size for entry in store.list(folder)}
        sent = 0
        for member in members:
            _, _, path = parse_artifact(member)
            size = self.backup.artifacts[member].size
            if there.get(path) != size:
                with self.backup.open(member) as content:
                    store.write(folder, path, content, size)
                sent += 1
            self.progress.advance(size)
        return sent
