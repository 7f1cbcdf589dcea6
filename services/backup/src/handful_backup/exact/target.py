"""Writing a backup's rows into MLflow's database: all of them or none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from handful_backup.archive import BackupReader
from handful_backup.errors import CannotBeExactError
from handful_backup.exact.database import reflect, revision, written
from handful_backup.exact.decision import decide
from handful_backup.exact.statements import delete_owned, insert, set_sequences
from handful_backup.exact.translation import Translation
from handful_backup.increment import require_base
from handful_backup.plan import Plan
from handful_backup.progress import Progress
from handful_backup.selection import Chosen
from handful_backup.stages import champions
from handful_backup.tables import BELONGS, INPUT_TAGS, INPUTS, PASSING, ROOTS, Owner, in_order, input_run, owner
from handful_core.registry import CHAMPION

_BATCH = 2000
_ALIASES = "registered_model_aliases"


class DatabaseTarget:
    """A database that a backup goes into, within the connection's transaction.

    Args:
        connection: in a transaction.
        backup: what is written.
        chosen: what of it is wanted; None for all.
        replace: whether what is there gives way.

    Raises:
        CannotBeExactError: the database's schema is not the backup's.
    """

    def __init__(
        self, connection: sa.Connection, backup: BackupReader, chosen: Chosen | None, *, replace: bool
    ) -> None:
        self._connection = connection
        self._backup = backup
        self._chosen = chosen
        self._replace = replace
        self._metadata = reflect(connection)
        self._check_schema()
        runs = self._metadata.tables["runs"]
        require_base(backup, set(connection.execute(sa.select(runs.columns["run_uuid"])).scalars()))
        self.plan = Plan("exact")
        self.decision = decide(connection, self._metadata, backup, chosen, self.plan, replace=replace)
        self.translation = Translation(backup, self.decision)
        datasets = connection.execute(sa.select(self._metadata.tables["datasets"])).mappings()
        known = {(row["experiment_id"], row["name"], row["digest"]): row["dataset_uuid"] for row in datasets}
        self.translation.use_datasets(known, backup)
        self._plan_aliases()

    def write(self, progress: Progress) -> None:
        """Write all rows; aliases and what stands for them last."""
        names = in_order(table.name for table in self._metadata.sorted_tables)
        tables = [self._metadata.tables[n] for n in names if self._backup.has(n) and n not in PASSING]
        self._clear(tables)
        taken_inputs: set[str] = set()
        for table in tables:
            rows = progress.counted(table.name, self._rows(table, taken_inputs))
            self._insert(table, rows)
        self._crown()
        set_sequences(self._connection, tables)

    def _check_schema(self) -> None:
        here, there = revision(self._connection), self._backup.manifest.schema_revision
        if there and here != there:
            raise CannotBeExactError(
                f"the backup's schema is MLflow's {there}, the database's is {here}",
                "import over REST, or with the MLflow version that the backup names, and upgrade then",
            )

    def _clear(self, tables: list[sa.Table]) -> None:
        """Remove the rows below what gives way; its own row is replaced in place, as others hang on it."""
        for table in reversed(tables):
            belongs = BELONGS.get(table.name)
            if belongs and table.name not in ROOTS.values() and table.name != "datasets":
                owners = {self._translated(belongs.kind, key) for key in self.decision.replaced[belongs.kind]}
                delete_owned(self._connection, table, belongs.columns, owners)
            if table.name == INPUTS:
                runs = self.decision.replaced["runs"]
                delete_owned(self._connection, table, ("source_id",), runs)
                delete_owned(self._connection, table, ("destination_id",), runs)

    def _translated(self, kind: str, key: Owner) -> Owner:
        if kind == "experiments":
            return self.decision.experiments[key]
        if kind == "versions":
            return (*key[:2], self.decision.versions.get(key, key[2]))
        return key

    def _rows(self, table: sa.Table, taken_inputs: set[str]) -> Iterator[dict[str, Any]]:
        """A table's rows that go in, as they are called here."""
        name = table.name
        columns = {column.name for column in written(table)}
        for row in self._backup.rows(name):
            if not self._wants(name, row, taken_inputs):
                continue
            here = self.translation.row(name, row)
            yield {column: value for column, value in here.items() if column in columns}

    def _wants(self, name: str, row: dict[str, Any], taken_inputs: set[str]) -> bool:
        if name == INPUTS:
            wanted = input_run(row) in self.decision.taken["runs"]
            if wanted:
                taken_inputs.add(row["input_uuid"])
            return wanted
        if name == INPUT_TAGS:
            return row["input_uuid"] in taken_inputs
        if name == "datasets":  # An experiment that is there may be in want of them.
            return self._chosen is None or self._chosen.takes(name, row)
        belongs = BELONGS.get(name)
        if belongs is None:
            return self._chosen is None
        return owner(name, row) in self.decision.taken[belongs.kind]

    def _insert(self, table: sa.Table, rows: Iterator[dict[str, Any]]) -> None:
        # Also where nothing gives way: the experiment that MLflow made by itself.
        replace = table.name == "experiments" or (self._replace and table.name in BELONGS and table.name != "datasets")
        batch: list[dict[str, Any]] = []
        for row in rows:
            batch.append(row)
            if len(batch) == _BATCH:
                insert(self._connection, table, batch, replace=replace)
                batch = []
        insert(self._connection, table, batch, replace=replace)

    def _plan_aliases(self) -> None:
        line = self.plan.lines["aliases"]
        table = self._metadata.tables[_ALIASES]
        there = {(r["name"], r["alias"]) for r in self._connection.execute(sa.select(table)).mappings()}
        for row in self._backup.rows(_ALIASES):
            if owner(_ALIASES, row) not in self.decision.taken["versions"]:
                line.there += self._chosen is None or self._chosen.takes(_ALIASES, row)
            elif (row["name"], row["alias"]) not in there:
                line.new += 1
            elif self._replace:
                line.changed += 1
            else:
                line.there += 1
                self.plan.notes.append(f"model {row['name']}: its alias {row['alias']} stays where it is")
        for (_, name), version in self._crowned().items():
            line.new += 1
            self.plan.notes.append(f"model {name}: version {version} was in Production and becomes {CHAMPION}")

    def _crowned(self) -> dict[tuple[str, str], int]:
        """New champions, by stages of old."""
        taken = self.decision.taken["versions"]
        versions = [r for r in self._backup.rows("model_versions") if owner("model_versions", r) in taken]
        table = self._metadata.tables[_ALIASES]
        here = self._connection.execute(sa.select(table)).mappings()
        return dict(champions(versions, [*self._backup.rows(_ALIASES), *map(dict, here)]))

    def _crown(self) -> None:
        table = self._metadata.tables[_ALIASES]
        rows = []
        for (workspace, name), version in self._crowned().items():
            number = self.decision.versions.get((workspace, name, version), version)
            row = {"workspace": workspace, "name": name, "alias": CHAMPION, "version": number}
            rows.append({column: value for column, value in row.items() if column in table.columns})
        insert(self._connection, table, rows, replace=False)
