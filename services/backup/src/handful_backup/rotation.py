"""The names of backups, and how many are kept."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from handful_backup.artifacts.objects import s3_client
from handful_backup.settings import BackupSettings

_NAME = re.compile(r"handful-(\d{8}T\d{6}Z)(?:-since-(\d{8}T\d{6}Z))?\.zip")
_TIME = "%Y%m%dT%H%M%SZ"


def file_name(created: datetime, base: datetime | None) -> str:
    """A backup's name: its time, and its base's for one that only adds to it."""
    since = f"-since-{base.strftime(_TIME)}" if base else ""
    return f"handful-{created.strftime(_TIME)}{since}.zip"


def superfluous(names: Iterable[str], keep: int) -> list[str]:
    """The names of backups that may go: all but the newest, and but those that the newest add to."""
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
    gone = superfluous((path.name for path in folder.iterdir()), keep)
    for name in gone:
        (folder / name).unlink()
    return gone


def _rotate_objects(target: str, keep: int, settings: BackupSettings) -> list[str]:
    client = s3_client(settings)
    parts = urlsplit(target)
    prefix = parts.path.lstrip("/").rpartition("/")[0]
    prefix = f"{prefix}/" if prefix else ""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=parts.netloc, Prefix=prefix)
    names = [item["Key"].removeprefix(prefix) for page in pages for item in page.get("Contents", ())]
    gone = superfluous(names, keep)
    for name in gone:
        client.delete_object(Bucket=parts.netloc, Key=prefix + name)
    return gone
