"""Artifacts in a folder of this machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from handful_backup.artifacts.store import Content, Entry
from handful_core.errors import ConfigError

_CHUNK = 1 << 20


class LocalStore:
    """The folder `root`; folders below it are named by relative paths, others by absolute ones."""

    is_near = True

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def list(self, folder: str) -> Iterator[Entry]:
        """The files below a folder. Links are not followed."""
        top = self._inside(folder)
        for parent, folders, names in os.walk(top):
            folders.sort()
            for name in sorted(names):
                path = Path(parent, name)
                if path.is_symlink() or not path.is_file():
                    continue
                status = path.stat()
                yield Entry(path.relative_to(top).as_posix(), status.st_size, status.st_mtime)

    def read(self, folder: str, path: str) -> AbstractContextManager[Content]:
        """A file."""
        return self._inside(folder, path).open("rb")

    def write(self, folder: str, path: str, content: Content, size: int) -> None:  # noqa: ARG002
        """Write beside the place, then move there: no half file is ever seen.

        What a killed import left beside it has the same name, and goes when the file comes.
        """
        target = self._inside(folder, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.partial")
        try:
            with partial.open("wb") as file:
                while chunk := content.read(_CHUNK):
                    file.write(chunk)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    def remove(self, folder: str) -> None:
        """Remove a folder."""
        shutil.rmtree(self._inside(folder), ignore_errors=True)

    def _inside(self, *parts: str) -> Path:
        path = Path(os.path.normpath(self._root.joinpath(*parts)))
        if not path.is_relative_to(self._root):
            raise ConfigError(f"{path} lies outside of {self._root}", "the database names artifacts elsewhere")
        return path
