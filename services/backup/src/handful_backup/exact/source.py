"""Reading rows from MLflow's database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import sqlalchemy as sa

from handful_backup.exact.database import reflect, revision, stored_columns
from handful_backup.selection import SelectedItems
from handful_backup.tables import EPHEMERAL_TABLES, OWNERSHIP, in_order

_ROWS = 5000
_MANY = {"metrics", "latest_metrics", "logged_model_metrics"}
_FEW = 250
"""Rows that are in memory together: many of those that are small, few of those that may hold long texts."""
_OWNERS = 500
"""Values in one condition: databases limit them."""


class DatabaseSource:
    """MLflow's database, as a connection's transaction sees it."""

    mode: Literal["exact"] = "exact"
    not_kept: tuple[str, ...] = ()

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._metadata = reflect(connection)
        self.revision = revision(connection)

    @property
    def tables(self) -> list[str]:
        """Their names, in the order in which rows need those before them."""
        return in_order(table.name for table in self._metadata.sorted_tables if table.name not in EPHEMERAL_TABLES)

    def columns(self, table: str) -> list[str]:
        """A table's columns."""
        return [column.name for column in stored_columns(self._metadata.tables[table])]

    def not_carried(self) -> dict[str, int]:
        """What is left out on purpose."""
        found = {name: self._count(name) for name in sorted(EPHEMERAL_TABLES - {"alembic_version"}) if self._has(name)}
        return {name: count for name, count in found.items() if count}

    def rows(self, table: str) -> Iterator[dict[str, Any]]:
        """A table's rows, by column; none of a table that this schema lacks."""
        if not self._has(table):
            return
        names = self.columns(table)
        for row in self.row_values(table, None):
            yield dict(zip(names, row, strict=True))

    def row_values(self, name: str, selected: SelectedItems | None) -> Iterator[Sequence[Any]]:
        """A table's rows as they are stored, of the things that are wanted."""
        table = self._metadata.tables[name]
        columns = stored_columns(table)
        names = [column.name for column in columns]
        for query in self._queries(table, sa.select(*columns), selected):
            batch = _ROWS if name in _MANY else _FEW
            result = self._connection.execute(query, execution_options={"yield_per": batch})
            for part in result.partitions():
                if selected is None:
                    yield from map(tuple, part)
                else:
                    yield from (tuple(r) for r in part if selected.includes(name, dict(zip(names, r, strict=True))))

    def _queries(
        self, table: sa.Table, query: sa.Select[Any], selected: SelectedItems | None
    ) -> Iterator[sa.Select[Any]]:
        """The whole table, or pieces of it by owner, so that one model is not looked for among all metrics."""
        ownership = OWNERSHIP.get(table.name)
        if selected is None or ownership is None or len(ownership.columns) > 1:
            yield query
            return
        column = table.columns[ownership.columns[0]]
        owners = sorted(selected.of(ownership.kind))
        for start in range(0, len(owners), _OWNERS):
            yield query.where(column.in_(owners[start : start + _OWNERS]))

    def _has(self, table: str) -> bool:
        return table in self._metadata.tables

    def _count(self, table: str) -> int:
        query = sa.select(sa.func.count()).select_from(self._metadata.tables[table])
        return int(self._connection.execute(query).scalar_one())
