"""From an artifact's URI to the store that holds it."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from handful_backup.artifacts.s3 import ObjectStore, s3_client
from handful_backup.artifacts.stores import LocalStore, ProxyStore, Store
from handful_backup.settings import BackupSettings
from handful_core.errors import ConfigError
from handful_core.registry.artifacts import SCHEME
from handful_core.registry.rest import Rest


def local_folder(uri: str) -> Path | None:
    """The folder that a URI names on the machine where it was given; None if it names none."""
    parts = urlsplit(uri)
    if parts.scheme in {"", "file"} or len(parts.scheme) == 1:  # C:\ on Windows.
        return Path(unquote(parts.path) if parts.scheme == "file" else uri)
    return None


def is_missing_folder(uri: str) -> bool:
    """Whether a URI names a folder that this machine does not have: that of the machine where MLflow runs."""
    folder = local_folder(uri)
    return folder is not None and not folder.is_dir()


class StoreResolver:
    """Finds the store of an artifact URI.

    Args:
        settings: where the server's artifacts are, if they are read without it.
        rest: the server that passes artifacts on; None if there is none.
    """

    def __init__(self, settings: BackupSettings, rest: Rest | None) -> None:
        self._settings = settings
        self._rest = rest
        self._client: Any = None
        self._proxied = self._proxied_store()

    def resolve(self, uri: str) -> tuple[Store, str]:
        """The store that has a URI, and the folder's name in it.

        Raises:
            ConfigError: this URI cannot be reached from here.
        """
        parts = urlsplit(uri)
        if parts.scheme == SCHEME:
            if self._proxied is None:
                raise ConfigError(
                    f"the artifacts at {uri} lie behind MLflow, which is not here",
                    "start MLflow, or say with --artifacts where its artifacts destination is",
                )
            return self._proxied, parts.path.strip("/")
        if parts.scheme == "s3":
            return ObjectStore(self._s3(), f"s3://{parts.netloc}"), parts.path.strip("/")
        if (path := local_folder(uri)) is not None:
            return LocalStore(path), "."
        raise ConfigError(f"artifacts at {parts.scheme}: cannot be reached", "only folders, S3 and MLflow's own can")

    def _proxied_store(self) -> Store | None:
        """The store behind `mlflow-artifacts:`."""
        destination = self._settings.artifacts
        if destination.startswith("s3://"):
            return ObjectStore(self._s3(), destination)
        if destination:
            return LocalStore(
                Path(unquote(urlsplit(destination).path) if destination.startswith("file:") else destination)
            )
        return ProxyStore(self._rest) if self._rest else None

    def _s3(self) -> Any:
        if self._client is None:
            self._client = s3_client(self._settings)
        return self._client
