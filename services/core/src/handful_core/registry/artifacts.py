"""Files in MLflow's artifact proxy: what runs and models keep, fetched and sent by way of the server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from handful_core.errors import HandfulError, NotFoundError
from handful_core.registry.rest import Download, NotMlflowError, Rest, bounded

SCHEME = "mlflow-artifacts"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
_CHUNK = 1 << 20
_LONGEST_PATH = 4096
"""Characters: folders that hold themselves end here."""


class ForeignArtifactsError(HandfulError):
    """Artifacts lie where MLflow does not pass them on.

    Args:
        scheme: of their address; empty for a folder.
        uri: their address.
    """

    def __init__(self, scheme: str, uri: str) -> None:
        self.place = f"{scheme}:" if scheme else uri
        super().__init__(
            f"MLflow keeps artifacts at {self.place}, which it does not pass on",
            "start MLflow with --artifacts-destination, and delete the experiment that has another place",
        )


class UnsafeNameError(HandfulError):
    """MLflow lists a file whose name would lead elsewhere.

    Args:
        name: that name.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"MLflow lists a file with the name {name!r}", "look at its artifacts")
        self.name = name


class ArtifactEntry(NamedTuple):
    """A file or folder."""

    name: str
    """Without what stands before it; never empty, `.` or `..`."""
    is_folder: bool
    size: int
    """Bytes of a file; 0 where MLflow does not say."""


class ArtifactProxy:
    """The artifact proxy of a server. Paths have `/`, and begin at the proxy's root: see `proxied_path`.

    Args:
        rest: the server.

    Every method raises `UnavailableError` when the server does not answer.
    """

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    def entries(self, folder: str) -> list[ArtifactEntry]:
        """What is in a folder, in order of names.

        Raises:
            NotFoundError: some stores say so of a folder that is not there; others list nothing.
            UnsafeNameError: a name would lead elsewhere.
        """
        try:
            listed = self._rest.get(_ARTIFACTS, {"path": folder.strip("/")}).get("files", ())
            found = [_entry(item) for item in listed]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise NotMlflowError(self._rest.uri) from error
        return sorted(found)

    def walk(self, folder: str) -> Iterator[tuple[str, int]]:
        """Paths and sizes of all files below a folder, relative to it; none of a folder that is not there.

        One request for each folder.

        Raises:
            UnsafeNameError: a name would lead elsewhere.
        """
        pending = [""]
        while pending:
            path = pending.pop()
            try:
                found = self.entries(f"{folder}/{path}")
            except NotFoundError:
                continue
            for entry in found:
                inner = f"{path}/{entry.name}".lstrip("/")
                if len(inner) > _LONGEST_PATH:
                    raise UnsafeNameError(inner[:80])
                if entry.is_folder:
                    pending.append(inner)
                else:
                    yield inner, entry.size

    def open(self, path: str) -> AbstractContextManager[Download]:
        """Fetch a file bit by bit.

        Raises:
            FileNotFoundError: there is none.
        """
        return self._rest.open(_address(path))

    def read(self, path: str, limit: int) -> bytes:
        """A file's content.

        Raises:
            FileNotFoundError: there is none.
            DamagedPackageError: it has more bytes than the limit.
        """
        with self.open(path) as file:
            return b"".join(bounded(iter(lambda: file.read(_CHUNK), b""), limit, path))

    def download(self, path: str, target: Path, limit: int) -> int:
        """Fetch a file of at most `limit` bytes; its size.

        Raises:
            NotFoundError: there is none.
            DamagedPackageError: it is larger.
        """
        return self._rest.download(_address(path), target, limit)

    def upload(self, path: str, content: Iterator[bytes], size: int) -> None:
        """Write a file of this many bytes: all of it, or nothing."""
        self._rest.upload(_address(path), content, size)

    def remove(self, path: str) -> None:
        """Delete a file, or a folder with all that is in it; nothing happens if it is not there."""
        self._rest.remove(_address(path))


def proxied_path(uri: str) -> str:
    """The path in the proxy of what has an artifact URI; empty if the URI names none.

    Raises:
        ForeignArtifactsError: MLflow does not pass it on.
    """
    parts = urlsplit(uri)
    if parts.scheme != SCHEME:
        raise ForeignArtifactsError(parts.scheme, uri)
    return parts.path.strip("/")


def _entry(item: dict[str, object]) -> ArtifactEntry:
    name = PurePosixPath(str(item["path"])).name
    if name in {"", ".", ".."}:
        raise UnsafeNameError(name)
    return ArtifactEntry(name, bool(item.get("is_dir")), int(str(item.get("file_size") or 0)))


def _address(path: str) -> str:
    return f"{_ARTIFACTS}/{quote(path.strip('/'))}"
