"""All that a server holds, read past it: rows by SQL, files by their hash."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from support.object_store import S3Store

_PASSING = {"alembic_version", "job_locks", "scheduler_leases"}


def rows_of(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, with what SQLite and Postgres write differently made the same."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    metadata = sa.MetaData()
    with engine.connect() as connection:
        metadata.reflect(connection)
        return {
            table.name: _sorted(connection.execute(sa.select(*sorted(table.columns, key=lambda c: c.name))).all())
            for table in metadata.sorted_tables
            if table.name not in _PASSING
        }


def files_in(folder: Path) -> dict[str, str]:
    """The hash of every file below a folder."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def objects_in(store: S3Store, bucket: str) -> dict[str, str]:
    """The hash of every object in a bucket."""
    client = store.client()

    def read(key: str) -> bytes:
        return bytes(client.get_object(Bucket=bucket, Key=key)["Body"].read())

    return {key: hashlib.sha256(read(key)).hexdigest() for key in store.keys(bucket)}


def _sorted(rows: Iterable[Any]) -> list[tuple[Any, ...]]:
    return sorted((tuple(map(_plain, row)) for row in rows), key=repr)


def _plain(value: Any) -> Any:
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    return value
