"""An untouched starter in MLflow's database: found, marked, and deleted where a restored backup takes its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from handful_backup.artifact_folders import ArtifactFolders
from handful_backup.exact.database import delete_owned, insert, reflect
from handful_backup.exact.source import DatabaseSource
from handful_backup.mlflow_tags import STARTER
from handful_backup.starter import PeoplesRows, StarterMark, StarterThings, has_unchanged_rows, read_mark
from handful_backup.tables import (
    DEFAULT_WORKSPACE,
    EPHEMERAL_TABLES,
    INPUT_TAGS,
    INPUTS,
    OWNERSHIP,
    REST_TABLES,
    Kind,
    Owner,
)

_MADE_BY_MLFLOW = frozenset({"workspaces"})
_TAGS = "registered_model_tags"


@dataclass(frozen=True, slots=True)
class Starter:
    """A starter that nobody has used.

    Attributes:
        mark: that its import left.
        things: what it brought.
        folders: the URIs of its artifacts, by kind and id.
    """

    mark: StarterMark
    things: StarterThings
    folders: Mapping[tuple[str, str], str]


def find_starter(connection: sa.Connection, *, lock: bool = False) -> Starter | None:
    """The starter, if the database holds nothing else and its rows are what its import left; else None.

    Args:
        connection: to the database.
        lock: whether nobody else may write until the transaction ends. SQLite has one writer at a time in any case.
    """
    source = DatabaseSource(connection)
    if lock and connection.dialect.name == "postgresql":
        tables = ", ".join(f'"{table}"' for table in source.tables)
        connection.execute(sa.text(f"LOCK TABLE {tables} IN SHARE ROW EXCLUSIVE MODE"))
    mark = read_mark(source)
    if mark is None or any(_rows_beyond(source)) or not has_unchanged_rows(source, mark):
        return None
    return Starter(mark, StarterThings.of(source), ArtifactFolders.of(PeoplesRows(source)).uris())


def write_mark(connection: sa.Connection, mark: StarterMark) -> None:
    """Tag every registered model with the mark."""
    table = reflect(connection).tables[_TAGS]
    names = DatabaseSource(connection).rows("registered_models")
    fields = ({"workspace": DEFAULT_WORKSPACE, **row, "key": STARTER, "value": mark.as_tag()} for row in names)
    rows = [{column.name: row[column.name] for column in table.columns} for row in fields]
    insert(connection, table, rows, replace=True)


def delete_things(connection: sa.Connection, metadata: sa.MetaData, owners: Mapping[Kind, set[Owner]]) -> None:
    """Delete things with all that belongs to them: what refers to others first."""
    _delete_inputs(connection, metadata, owners["runs"])
    for table in reversed(metadata.sorted_tables):
        if ownership := OWNERSHIP.get(table.name):
            delete_owned(connection, table, ownership.columns, owners[ownership.kind])


def _delete_inputs(connection: sa.Connection, metadata: sa.MetaData, runs: set[Owner]) -> None:
    table = metadata.tables[INPUTS]
    source, destination = table.columns["source_id"], table.columns["destination_id"]
    query = sa.select(table.columns["input_uuid"]).where(source.in_(runs) | destination.in_(runs))
    inputs = connection.execute(query).scalars().all()
    for name in (INPUT_TAGS, INPUTS):
        delete_owned(connection, metadata.tables[name], ("input_uuid",), inputs)


def _rows_beyond(source: DatabaseSource) -> Iterator[object]:
    """Rows that no starter brings: of tables that REST does not fill, and of logged models that somebody deleted."""
    for table in source.tables:
        if table not in REST_TABLES and table not in EPHEMERAL_TABLES | _MADE_BY_MLFLOW:
            yield from source.rows(table)
    yield from (row for row in PeoplesRows(source).rows("logged_models") if row["lifecycle_stage"] != "active")
