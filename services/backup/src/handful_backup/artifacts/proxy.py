"""Artifacts behind the MLflow server, which passes them on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import PurePosixPath
from urllib.parse import quote

from handful_backup.artifacts.store import Content, Entry
from handful_core.errors import HandfulError, NotFoundError
from handful_core.registry.rest import Rest

_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
_CHUNK = 1 << 20


class ProxyStore:
    """The artifacts that an MLflow server serves."""

    is_near = False

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    def list(self, folder: str) -> Iterator[Entry]:
        """The files below a folder: one question for each folder in it."""
        yield from self._below(folder, "")

    def _below(self, folder: str, path: str) -> Iterator[Entry]:
        try:
            answer = self._rest.get(_ARTIFACTS, {"path": f"{folder}/{path}".strip("/")})
        except NotFoundError:
            return
        for item in answer.get("files", ()):
            name = PurePosixPath(item["path"]).name
            if name in {"", ".", ".."}:
                raise HandfulError(f"MLflow lists a file with the name {name!r}", "look at its artifacts")
            inner = f"{path}/{name}".lstrip("/")
            if item.get("is_dir"):
                yield from self._below(folder, inner)
            else:
                yield Entry(inner, int(item.get("file_size", 0)))

    def read(self, folder: str, path: str) -> AbstractContextManager[Content]:
        """A file."""
        return self._rest.open(self._address(folder, path))

    def write(self, folder: str, path: str, content: Content, size: int) -> None:
        """Send a file."""
        self._rest.upload(self._address(folder, path), iter(lambda: content.read(_CHUNK), b""), size)

    def remove(self, folder: str) -> None:
        """Remove a folder's files."""
        self._rest.send("DELETE", self._address(folder, ""), None)

    def _address(self, folder: str, path: str) -> str:
        return f"{_ARTIFACTS}/{quote(f'{folder}/{path}'.strip('/'))}"
