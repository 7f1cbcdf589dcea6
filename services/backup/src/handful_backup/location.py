"""Where backups are: a file, an object store, or a standard stream; and how many are kept there."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import threading
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from handful_backup.artifacts.s3 import ObjectStore, s3_client, transfer_config
from handful_backup.settings import BackupSettings
from handful_backup.temp_cleanup import remove_stale, work_folder
from handful_core.errors import ConfigError, NotFoundError, UnavailableError
from handful_core.files import open_atomically

STANDARD_STREAM = "-"
_PARTIAL = ".handful-*.zip.partial"
"""What exports are writing, under names that `backup_name` gives."""
_NAME = re.compile(r"handful-(\d{8}T\d{6}Z)(?:-since-(\d{8}T\d{6}Z))?\.zip")
_TIME = "%Y%m%dT%H%M%SZ"
_CHUNK = 1 << 20


@contextlib.contextmanager
def fetch_backup(source: str, settings: BackupSettings) -> Iterator[Path]:
    """A backup as a file of this machine: it is read several times, and not from its beginning to its end.

    Args:
        source: a file, s3://BUCKET/KEY, or - for standard input.
        settings: where the object store is.

    Raises:
        NotFoundError: there is no such backup.
    """
    if source != STANDARD_STREAM and not source.startswith("s3://"):
        if not Path(source).is_file():
            raise NotFoundError(f"there is no backup {source}", "name a file that handful export made")
        yield Path(source)
        return
    if source == STANDARD_STREAM and sys.stdin.isatty():
        raise ConfigError("no backup comes in", "send one: handful import - < backup.zip")
    with work_folder() as folder:
        path = folder / "backup.zip"
        with path.open("wb") as copy:
            if source == STANDARD_STREAM:
                shutil.copyfileobj(sys.stdin.buffer, copy, _CHUNK)
            else:
                _download(source, settings, copy)
        yield path


def _download(source: str, settings: BackupSettings, copy: IO[bytes]) -> None:
    parts = urlsplit(source)
    folder, _, name = parts.path.strip("/").rpartition("/")
    try:
        with ObjectStore(s3_client(settings), f"s3://{parts.netloc}").read(folder, name) as content:
            shutil.copyfileobj(content, copy, _CHUNK)
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no backup {source}", "list the bucket") from error


@contextlib.contextmanager
def open_output(target: str, settings: BackupSettings) -> Iterator[IO[bytes]]:
    """A stream to a target; nothing is there afterwards unless the block ends without an error.

    Args:
        target: a file, s3://BUCKET/KEY, or - for standard output.
        settings: where the object store is.
    """
    if target == STANDARD_STREAM:
        if sys.stdout.isatty():
            raise ConfigError("a terminal cannot take a ZIP file", "send it on: handful export --out - > backup.zip")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    elif target.startswith("s3://"):
        with _open_object(target, settings) as stream:
            yield stream
    else:
        with _open_file(Path(target)) as stream:
            yield stream


@contextlib.contextmanager
def _open_file(path: Path) -> Iterator[IO[bytes]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_stale(path.parent, _PARTIAL)
    # A name that is known, so that the next export finds what a killed one left.
    partial = path.with_name(f".{path.name}.partial")
    with open_atomically(path, mode=0o666, durable=True, part=partial) as file:
        yield file


@contextlib.contextmanager
def _open_object(target: str, settings: BackupSettings) -> Iterator[IO[bytes]]:
    """A pipe whose other end is uploaded in parts: boto3 wants to read, and the export wants to write."""
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
        with contextlib.suppress(BrokenPipeError):  # The upload has ended: its own error is raised below.
            writer.close()
        upload.join()
    if upload.failure is not None:
        raise UnavailableError(
            f"the backup does not get to {target} ({upload.failure})",
            "check HANDFUL_BACKUP_S3_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ) from upload.failure


class _InterruptedError(Exception):
    """The export did not come to its end."""


class _Upload(threading.Thread):
    """Sends what comes through a pipe."""

    def __init__(self, pipe: int, client: Any, bucket: str, key: str) -> None:
        super().__init__(name="upload")
        self._pipe = os.fdopen(pipe, "rb")
        self._object = (bucket, key)
        self._client = client
        self.whole = False
        self.failure: Exception | None = None

    def run(self) -> None:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        with self._pipe:
            try:
                self._client.upload_fileobj(self, *self._object, Config=transfer_config())
            except _InterruptedError:
                return
            except (Boto3Error, BotoCoreError, ClientError) as error:
                self.failure = error

    def read(self, size: int = -1) -> bytes:
        """The next bytes, for boto3.

        Raises:
            _InterruptedError: the pipe was closed before the backup was whole: boto3 then drops the object.
        """
        data = self._pipe.read(size)
        if not data and not self.whole:
            raise _InterruptedError
        return data


def backup_name(created: datetime, base: datetime | None) -> str:
    """A backup's name: its time, and its base's for one that only adds to it."""
    since = f"-since-{base.strftime(_TIME)}" if base else ""
    return f"handful-{created.strftime(_TIME)}{since}.zip"


def expired_backups(names: Iterable[str], keep: int) -> list[str]:
    """The names of backups that may go: all but the newest, and but those that the kept ones add to."""
    found = {match[1]: (match[0], match[2]) for name in names if (match := _NAME.fullmatch(name))}
    kept = set(sorted(found)[-keep:])
    for time in sorted(kept, reverse=True):
        base = found[time][1]
        while base in found and base not in kept:
            kept.add(base)
            base = found[base][1]
    return [found[time][0] for time in sorted(set(found) - kept)]


def rotate(target: str, keep: int, settings: BackupSettings) -> list[str]:
    """Remove the backups that are too many beside the one that was just made; their names."""
    if target.startswith("s3://"):
        return _rotate_objects(target, keep, settings)
    folder = Path(target).parent
    expired = expired_backups((path.name for path in folder.iterdir()), keep)
    for name in expired:
        (folder / name).unlink()
    return expired


def _rotate_objects(target: str, keep: int, settings: BackupSettings) -> list[str]:
    client = s3_client(settings)
    parts = urlsplit(target)
    prefix = parts.path.lstrip("/").rpartition("/")[0]
    prefix = f"{prefix}/" if prefix else ""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=parts.netloc, Prefix=prefix)
    names = [item["Key"].removeprefix(prefix) for page in pages for item in page.get("Contents", ())]
    expired = expired_backups(names, keep)
    for name in expired:
        client.delete_object(Bucket=parts.netloc, Key=prefix + name)
    return expired
