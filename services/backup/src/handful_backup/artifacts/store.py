"""What an artifact store can do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Entry:
    """A file below a folder of artifacts."""

    path: str
    """With `/`, relative to the folder."""
    size: int
    modified: float | None = None
    """Seconds since 1970; None where the store does not tell."""


class Content(Protocol):
    """A file's bytes."""

    def read(self, size: int = ..., /) -> bytes:
        """The next bytes; none at the end."""


class Store(Protocol):
    """Artifacts by folder and path.

    Raises:
        UnavailableError: the store does not answer.
    """

    is_near: bool
    """Whether files are read as fast as a disk: fetching several at once is then of no use."""

    def list(self, folder: str) -> Iterator[Entry]:
        """The files below a folder; none of a folder that is not there."""

    def read(self, folder: str, path: str) -> AbstractContextManager[Content]:
        """A file.

        Raises:
            FileNotFoundError: it is not there (any more).
        """

    def write(self, folder: str, path: str, content: Content, size: int) -> None:
        """Make or replace a file, whole or not at all."""

    def remove(self, folder: str) -> None:
        """Remove a folder's files, where the store can."""
