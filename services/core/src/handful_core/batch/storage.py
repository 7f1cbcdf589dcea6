"""A folder, here or in an object store, as pyarrow sees both."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from handful_core.errors import ConfigError, DataError, UnavailableError
from handful_core.folders import is_system_name

if TYPE_CHECKING:
    from pyarrow import fs

S3 = "s3://"
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "MLFLOW_S3_ENDPOINT_URL")
_INSTALL = "pip install 'handful-core[batch]'"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file in a storage.

    Attributes:
        path: below the storage's root, with `/`.
        size: bytes.
        changed: when it was changed, in nanoseconds since 1970.
    """

    path: str
    size: int
    changed: int


@dataclass(slots=True)
class Storage:
    """A folder or `s3://BUCKET/PREFIX`. It can be sent to another process: it connects where it is used.

    An object store's address and keys are those of the AWS tools: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID,
    AWS_SECRET_ACCESS_KEY, AWS_REGION, or a profile.

    Attributes:
        location: as a user names it.
    """

    location: str
    _connected: tuple[fs.FileSystem, str] | None = field(default=None, repr=False, compare=False)

    def __getstate__(self) -> tuple[str]:
        return (self.location,)

    def __setstate__(self, state: tuple[str]) -> None:
        self.location, self._connected = state[0], None

    def files(self) -> list[StoredFile]:
        """All files below it, by path, without what operating systems and tools leave there.

        Raises:
            DataError: there is no such folder.
            UnavailableError: the object store does not answer, or refuses.
        """
        from pyarrow import fs

        system, root = self._connect()
        selector = fs.FileSelector(root, recursive=True, allow_not_found=False)
        try:
            found = system.get_file_info(selector)
        except FileNotFoundError as error:
            raise DataError(f"there is no folder {self.location}", "name one that holds images") from error
        except OSError as error:
            raise self._away(error) from error
        files = [_stored(info, root) for info in found if info.type == fs.FileType.File]
        return sorted(
            (file for file in files if not any(map(is_system_name, file.path.split("/")))), key=lambda file: file.path
        )

    def read(self, path: str) -> bytes:
        """What a file holds.

        Raises:
            DataError: it is not there, or cannot be read.
            UnavailableError: the object store does not answer, or refuses.
        """
        system, root = self._connect()
        try:
            with system.open_input_stream(f"{root}/{path}") as stream:
                return bytes(stream.read())
        except OSError as error:
            if self.is_remote and not isinstance(error, FileNotFoundError):
                raise self._away(error) from error
            raise DataError(
                f"{self.name_of(path)} cannot be read ({error})", "see whether it is still there"
            ) from error

    def write(self, path: str, data: bytes) -> None:
        """Write a file in one step: whoever reads meets all of it, or nothing.

        Raises:
            UnavailableError: the object store does not answer, or refuses.
            OSError: the disk does not take it.
        """
        system, root = self._connect()
        try:
            if self.is_remote:  # An object appears when its upload has ended.
                with system.open_output_stream(f"{root}/{path}") as stream:
                    stream.write(data)
                return
        except OSError as error:
            raise self._away(error) from error
        part = f"{root}/.{path}.{secrets.token_hex(6)}.part"
        Path(root).mkdir(parents=True, exist_ok=True)
        with system.open_output_stream(part) as stream:
            stream.write(data)
        system.move(part, f"{root}/{path}")

    def name_of(self, path: str) -> str:
        """A file as a user reads it."""
        return f"{self.location.rstrip('/')}/{path}"

    @property
    def is_remote(self) -> bool:
        """Whether it is in an object store."""
        return self.location.startswith(S3)

    def _connect(self) -> tuple[fs.FileSystem, str]:
        if self._connected is None:
            try:
                self._connected = _s3(self.location) if self.is_remote else _local(self.location)
            except ImportError as error:
                raise ConfigError("--batch needs pyarrow", _INSTALL) from error
        return self._connected

    def _away(self, error: OSError) -> UnavailableError:
        return UnavailableError(
            f"{self.location} does not answer ({error})",
            "check AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the bucket's name",
        )


def _local(location: str) -> tuple[fs.FileSystem, str]:
    from pyarrow import fs

    return fs.LocalFileSystem(), Path(location).absolute().as_posix()


def _s3(location: str) -> tuple[fs.FileSystem, str]:
    from pyarrow import fs

    parts = urlsplit(location)
    if not parts.netloc:
        raise ConfigError(f"{location} names no bucket", "write s3://BUCKET/PREFIX")
    endpoint = next((os.environ[name] for name in _ENDPOINTS if os.environ.get(name)), None)
    options: dict[str, Any] = {"endpoint_override": endpoint} if endpoint else {}
    return fs.S3FileSystem(**options), f"{parts.netloc}{parts.path}".rstrip("/")


def _stored(info: fs.FileInfo, root: str) -> StoredFile:
    return StoredFile(info.path[len(root) :].lstrip("/"), info.size or 0, info.mtime_ns or 0)
