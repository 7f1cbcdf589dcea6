"""Sending a backup's artifacts to where they belong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from handful_backup.archive import BackupReader
from handful_backup.archive.names import parse_artifact
from handful_backup.artifacts import StoreResolver
from handful_backup.progress import Progress

FolderKey = tuple[str, str]
"""Kind and id of an artifact folder."""


@dataclass(slots=True)
class ArtifactImport:
    """Sends files, each whole or not at all.

    Attributes:
        backup: has the files.
        stores: where they go.
        progress: shows how far it is.
        jobs: uploads at the same time.
    """

    backup: BackupReader
    stores: StoreResolver
    progress: Progress
    jobs: int

    def by_folder(self) -> Mapping[FolderKey, list[str]]:
        """The backup's artifacts by the folder that they lie in."""
        folders: dict[FolderKey, list[str]] = {}
        for member in self.backup.artifacts:
            kind, name, _ = parse_artifact(member)
            folders.setdefault((kind, name), []).append(member)
        return folders

    def send_folders(self, folders: Iterable[tuple[FolderKey, str, bool]]) -> int:
        """Send the files of folders, several at the same time.

        Args:
            folders: each with the URI that it goes to, and whether existing files there are replaced.

        Returns:
            How many files were sent.
        """
        members = self.by_folder()
        work = [(members[folder], uri, replace) for folder, uri, replace in folders if folder in members]
        self.progress.bytes("artifacts", sum(self.backup.artifacts[m].size for names, *_ in work for m in names))
        with ThreadPoolExecutor(self.jobs) as pool:
            return sum(pool.map(lambda job: self.send(job[0], job[1], replace=job[2]), work))

    def send(self, members: Iterable[str], uri: str, *, replace: bool) -> int:
        """Send files below one URI.

        Args:
            members: the files.
            uri: the folder that they go to.
            replace: whether files that exist there are sent again. Without it, one of the same size is taken for a
                file of this backup, which an interrupted import has sent: so it must not be the folder of a thing that
                existed before, whose files may differ and be as large.

        Returns:
            How many were sent.
        """
        store, folder = self.stores.resolve(uri)
        existing = {} if replace else {file.path: file.size for file in store.list(folder)}
        sent = 0
        for member in members:
            _, _, path = parse_artifact(member)
            size = self.backup.artifacts[member].size
            if existing.get(path) != size:
                with self.backup.open(member) as content:
                    store.write(folder, path, content, size)
                sent += 1
            self.progress.advance(size)
        return sent
