"""A backup that is to be read: a file, or one that is fetched first."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from handful_backup.artifacts.objects import ObjectStore, s3_client
from handful_backup.leftovers import work_folder
from handful_backup.settings import BackupSettings
from handful_core.errors import ConfigError, NotFoundError

_CHUNK = 1 << 20


@contextmanager
def fetched(source: str, settings: BackupSettings) -> Iterator[Path]:
    """The file of a backup.

    Args:
        source: a file, s3://BUCKET/KEY, or - for standard input.
        settings: where the object store is.

    Raises:
        NotFoundError: there is no such backup.
    """
    if source != "-" and not source.startswith("s3://"):
        if not Path(source).is_file():
            raise NotFoundError(f"there is no backup {source}", "name a file that handful export made")
        yield Path(source)
        return
    if source == "-" and sys.stdin.isatty():
        raise ConfigError("no backup comes in", "send one: handful import - < backup.zip")
    with work_folder() as folder:
        path = folder / "backup.zip"
        with path.open("wb") as copy:
            if source == "-":
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
