"""Where artifacts are stored: the protocol, a folder of this machine, and the MLflow server."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from handful_core.errors import ConfigError
from handful_core.files import open_atomically
from handful_core.registry.artifacts import ArtifactProxy
from handful_core.registry.rest import Rest

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class ArtifactFile:
    """A file below a folder of artifacts."""

    path: str
    """With `/`, relative to the folder."""
    size: int
    modified: float | None = None
    """Seconds since 1970; None where the store does not say."""


class Content(Protocol):
    """A file's bytes."""

    def read(self, size: int = ..., /) -> bytes:
        """The next bytes; none at the end."""


class Store(Protocol):
    """Artifacts by folder and path.

    Raises:
        UnavailableError: the store does not answer.
    """

    is_local: bool
    """Whether files are read from a disk: fetching several at once is then of no use."""

    def list(self, folder: str) -> Iterator[ArtifactFile]:
        """The files below a folder; none of a folder that does not exist."""

    def read(self, folder: str, path: str) -> AbstractContextManager[Content]:
        """A file.

        Raises:
            FileNotFoundError: it does not exist (any more).
        """

    def write(self, folder: str, path: str, content: Content, size: int) -> None:
        """Make or replace a file, whole or not at all."""

    def remove(self, folder: str) -> None:
        """Remove a folder's files, where the store can."""


class LocalStore:
    """The folder `root`; folders below it are named by relative paths, others by absolute ones."""

    is_local = True

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def list(self, folder: str) -> Iterator[ArtifactFile]:
        """The files below a folder. Links are not followed."""
        top = self._inside(folder)
        for parent, folders, names in os.walk(top):
            folders.sort()
            for name in sorted(names):
                path = Path(parent, name)
                if path.is_symlink() or not path.is_file():
                    continue
                status = path.stat()
                yield ArtifactFile(path.relative_to(top).as_posix(), status.st_size, status.st_mtime)

    def read(self, folder: str, path: str) -> AbstractContextManager[Content]:
        """A file."""
        return self._inside(folder, path).open("rb")

    def write(self, folder: str, path: str, content: Content, size: int) -> None:  # noqa: ARG002
        """Write beside the place, then move there: no half file is ever seen.

        What a killed import left beside it has the same name, and is overwritten by the next one.
        """
        target = self._inside(folder, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with open_atomically(target, mode=0o666, part=target.with_name(f".{target.name}.partial")) as file:
            while chunk := content.read(_CHUNK):
                file.write(chunk)

    def remove(self, folder: str) -> None:
        """Remove a folder."""
        shutil.rmtree(self._inside(folder), ignore_errors=True)

    def _inside(self, *parts: str) -> Path:
        path = Path(os.path.normpath(self._root.joinpath(*parts)))
        if not path.is_relative_to(self._root):
            raise ConfigError(f"{path} lies outside of {self._root}", "the database names artifacts elsewhere")
        return path


class ProxyStore:
    """Artifacts behind an MLflow server, which passes them on."""

    is_local = False

    def __init__(self, rest: Rest) -> None:
        self._proxy = ArtifactProxy(rest)

    def list(self, folder: str) -> Iterator[ArtifactFile]:
        """The files below a folder: one request for each folder in it."""
        return (ArtifactFile(path, size) for path, size in self._proxy.walk(folder))

    def read(self, folder: str, path: str) -> AbstractContextManager[Content]:
        """A file."""
        return self._proxy.open(f"{folder}/{path}")

    def write(self, folder: str, path: str, content: Content, size: int) -> None:
        """Send a file."""
        self._proxy.upload(f"{folder}/{path}", iter(lambda: content.read(_CHUNK), b""), size)

    def remove(self, folder: str) -> None:
        """Remove a folder's files."""
        self._proxy.remove(folder)
