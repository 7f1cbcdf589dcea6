"""SQL that SQLite and Postgres share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

_OWNERS = 500


def insert(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]], *, replace: bool) -> None:
    """Insert rows that all have the same columns.

    Args:
        connection: to the database.
        table: that they go to.
        rows: column values.
        replace: whether a row with the same key is replaced, not kept.
    """
    if not rows:
        return
    module = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = module.insert(table)
    keys = [column.name for column in table.primary_key.columns]
    others = [name for name in rows[0] if name not in keys]
    if replace and keys and others:
        statement = statement.on_conflict_do_update(
            index_elements=keys, set_={name: statement.excluded[name] for name in others}
        )
    else:
        statement = statement.on_conflict_do_nothing()
    connection.execute(statement, list(rows))


def delete_owned(connection: sa.Connection, table: sa.Table, names: Sequence[str], owners: Iterable[Any]) -> None:
    """Delete the rows of some owners.

    Args:
        connection: to the database.
        table: that they are in.
        names: the columns that name an owner; older versions of MLflow lack some.
        owners: a value for each of these columns in a tuple, or the value of a single one.
    """
    keys = (owner if isinstance(owner, tuple) else (owner,) for owner in owners)
    at = [number for number, name in enumerate(names) if name in table.columns]
    some = sorted({tuple(key[number] for number in at) for key in keys})
    columns = [table.columns[names[number]] for number in at]
    for start in range(0, len(some), _OWNERS):
        part = some[start : start + _OWNERS]
        where = columns[0].in_([key for (key,) in part]) if len(columns) == 1 else sa.tuple_(*columns).in_(part)
        connection.execute(sa.delete(table).where(where))


def set_sequences(connection: sa.Connection, tables: Iterable[sa.Table]) -> None:
    """Let Postgres count on from the highest number that was written."""
    if connection.dialect.name != "postgresql":
        return
    for table in tables:
        for column in table.primary_key.columns:
            if not isinstance(column.type, sa.Integer):
                continue
            name = sa.func.pg_get_serial_sequence(f'"{table.name}"', column.name)
            if connection.execute(sa.select(name)).scalar():
                highest = sa.select(sa.func.coalesce(sa.func.max(column), 0) + 1).scalar_subquery()
                connection.execute(sa.select(sa.func.setval(sa.cast(name, postgresql.REGCLASS), highest, False)))
