"""Where a backup goes: a file, an object store, standard output."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from handful_backup.artifacts.objects import s3_client, transfer
from handful_backup.leftovers import remove_forgotten
from handful_backup.settings import BackupSettings
from handful_core.errors import ConfigError, UnavailableError

STDOUT = "-"
_PARTIAL = ".handful-*.zip.partial"
"""What exports are writing, under names that `file_name` gives."""


@contextlib.contextmanager
def output(target: str, settings: BackupSettings) -> Iterator[IO[bytes]]:
    """A stream to a target; what did not come to its end is not there afterwards.

    Args:
        target: a file, s3://BUCKET/KEY, or - for standard output.
        settings: where the object store is.
    """
    if target == STDOUT:
        if sys.stdout.isatty():
            raise ConfigError("a ZIP file is nothing for a terminal", "send it on: handful export --out - > backup.zip")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    elif target.startswith("s3://"):
        with _object(target, settings) as stream:
            yield stream
    else:
        with _file(Path(target)) as stream:
            yield stream


@contextlib.contextmanager
def _file(path: Path) -> Iterator[IO[bytes]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_forgotten(path.parent, _PARTIAL)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def _object(target: str, settings: BackupSettings) -> Iterator[IO[bytes]]:
    """A pipe whose other end goes up in parts; broken off, no object is made."""
    parts = urlsplit(target)
    client = s3_client(settings)
    reading, writing = os.pipe()
    upload = _Upload(reading, client, parts.netloc, parts.path.lstrip("/"))
    upload.start()
    writer = os.fdopen(writing, "wb")
    try:
        yield writer
        upload.whole = True
    except BrokenPipeError:
        if upload.failure is None:
            raise
    finally:
        with contextlib.suppress(BrokenPipeError):  # The upload has ended: its own error is told.
            writer.close()
        upload.join()
    if upload.failure is not None:
        raise UnavailableError(
            f"the backup does not get to {target} ({upload.failure})",
            "check HANDFUL_BACKUP_S3_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ) from upload.failure


class _BrokenOffError(Exception):
    """The export did not come to its end."""


class _Upload(threading.Thread):
    """Sends what comes through a pipe."""

    def __init__(self, pipe: int, client: Any, bucket: str, key: str) -> None:
        super().__init__(name="upload")
        self._pipe = os.fdopen(pipe, "rb")
        self._where = (bucket, key)
        self._client = client
        self.whole = False
        self.failure: Exception | None = None

    def run(self) -> None:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        with self._pipe:
            try:
                self._client.upload_fileobj(self, *self._where, Config=transfer())
            except _BrokenOffError:
                return
            except (Boto3Error, BotoCoreError, ClientError) as error:
                self.failure = error

    def read(self, size: int = -1) -> bytes:
        """The next bytes, for boto3; an error at the end of what is not whole, so that boto3 drops the object."""
        data = self._pipe.read(size)
        if not data and not self.whole:
            raise _BrokenOffError
        return data
