"""Importing into MLflow's database: artifacts first, then all rows in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import sqlalchemy as sa

from handful_backup.artifact_folders import version_id
from handful_backup.artifact_import import ArtifactImport, FolderKey
from handful_backup.artifacts import StoreResolver
from handful_backup.errors import DatabaseModeUnavailableError
from handful_backup.exact.database import (
    Database,
    delete_owned,
    insert,
    reflect,
    revision,
    set_sequences,
    stored_columns,
)
from handful_backup.exact.diff import compare_with_database
from handful_backup.exact.source import DatabaseSource
from handful_backup.exact.starter import Starter, delete_things, find_starter, write_mark
from handful_backup.exact.translation import Translation
from handful_backup.increment import require_base
from handful_backup.plan import ImportJob, ImportPlan
from handful_backup.progress import Progress
from handful_backup.starter import (
    StarterThings,
    counts_before,
    files_of,
    gives_way,
    hash_of_files,
    is_markable,
    mark_of,
    may_replace_starter,
)
from handful_backup.tables import (
    EPHEMERAL_TABLES,
    INPUT_TAGS,
    INPUTS,
    OWNERSHIP,
    ROOT_TABLES,
    Kind,
    Owner,
    in_order,
    input_run,
    owner,
    production_champions,
)
from handful_core.errors import HandfulError
from handful_core.registry import CHAMPION

_BATCH = 2000
_ALIASES = "registered_model_aliases"


class DatabaseImport:
    """An import into a database.

    Args:
        database: MLflow's.
        stores: where artifacts go.
        job: what is imported.
        as_starter: whether what is brought is marked as the starter model.
    """

    def __init__(self, database: Database, stores: StoreResolver, job: ImportJob, *, as_starter: bool = False) -> None:
        self._as_starter = as_starter
        self._starter_files: Mapping[FolderKey, set[tuple[str, int]]] = {}
        self._database = database
        self._stores = stores
        self._job = job

    def plan(self) -> ImportPlan:
        """What would be done."""
        with self._database.snapshot() as connection:
            return self._target(connection).plan

    def run(self, progress: Progress) -> ImportPlan:
        """Do it. Artifacts are sent before the rows that name them; the rows are all there at the end, or none."""
        with self._database.snapshot() as connection:
            target = self._target(connection)
        artifacts = ArtifactImport(self._job.backup, self._stores, progress, self._job.jobs)
        artifacts.send_folders(self._folders(target))
        # Sending takes long, and no transaction is open meanwhile: what others have written is compared once more.
        with self._database.transaction() as connection:
            starter = find_starter(connection, lock=True) if target.starter else None
            before = counts_before(DatabaseSource(connection), self._stores) if self._as_starter else None
            written = DatabaseTarget(connection, self._job, starter.things if starter else None)
            written.write(progress)
            if is_markable(self._job, source := DatabaseSource(connection), before):
                write_mark(connection, mark_of(source, self._stores))
        if starter:
            self._remove_files(starter, written)
        return written.plan

    def _target(self, connection: sa.Connection) -> DatabaseTarget:
        """What the backup goes into; a starter that nobody has used counts as not there."""
        target = DatabaseTarget(connection, self._job)
        if target.plan.nothing_to_do or not may_replace_starter(self._job, DatabaseSource(connection)):
            return target
        starter = find_starter(connection)
        if starter is None:
            return target
        self._starter_files = files_of(DatabaseSource(connection), self._stores)
        if starter.mark.files != hash_of_files(self._starter_files):
            return target
        return DatabaseTarget(connection, self._job, starter.things)

    def _remove_files(self, starter: Starter, target: DatabaseTarget) -> None:
        """Remove the artifacts of a starter that is gone; what the backup has under the same ids is the backup's."""
        written = _folder_ids(target.diff.to_write)
        for (kind, name), uri in starter.folders.items():
            if name in written[kind]:
                continue
            try:
                store, folder = self._stores.resolve(uri)
                if {(file.path, file.size) for file in store.list(folder)} == self._starter_files[kind, name]:
                    store.remove(folder)
                else:
                    target.plan.notes.append(f"files came to the starter's {uri} meanwhile: they stay there")
            except HandfulError as error:  # The rows are there: files that nothing names do no harm.
                target.plan.notes.append(f"the starter's files {uri} stay ({error.message})")

    def _folders(self, target: DatabaseTarget) -> Iterator[tuple[FolderKey, str, bool]]:
        """The folders of what is written, with their new URIs, and whether what exists there is replaced."""
        to_write, to_replace = _folder_ids(target.diff.to_write), _folder_ids(target.diff.to_replace)
        for (kind, name), folder in target.translation.folders.items():
            if name in to_write[kind]:
                yield (kind, name), str(target.translation.uri(folder.uri)), name in to_replace[kind]


class DatabaseTarget:
    """A database that a backup goes into, within the connection's transaction.

    Args:
        connection: in a transaction.
        job: what is written.
        starter: what goes before the backup is written; None for nothing.

    Raises:
        DatabaseModeUnavailableError: the database's schema is not the backup's.
    """

    def __init__(self, connection: sa.Connection, job: ImportJob, starter: StarterThings | None = None) -> None:
        self._connection = connection
        self._job = job
        self.starter = starter
        self._backup = job.backup
        self._metadata = reflect(connection)
        self._check_schema()
        runs = self._metadata.tables["runs"]
        require_base(job.backup, set(connection.execute(sa.select(runs.columns["run_uuid"])).scalars()))
        self.plan = ImportPlan("exact")
        if starter:
            self.plan.notes.append(gives_way(starter))
        self.diff = compare_with_database(connection, self._metadata, job, self.plan, starter)
        self.translation = Translation(job.backup, self.diff)
        datasets = connection.execute(sa.select(self._metadata.tables["datasets"])).mappings()
        gone = starter.owners["experiments"] if starter else ()
        known = {
            (row["experiment_id"], row["name"], row["digest"]): row["dataset_uuid"]
            for row in datasets
            if row["experiment_id"] not in gone
        }
        self.translation.keep_datasets(known, job.backup)
        self._plan_aliases()

    def write(self, progress: Progress) -> None:
        """Write all rows, aliases last."""
        names = in_order(table.name for table in self._metadata.sorted_tables)
        tables = [self._metadata.tables[n] for n in names if self._backup.has(n) and n not in EPHEMERAL_TABLES]
        if self.starter:
            delete_things(self._connection, self._metadata, self.starter.owners)
        self._delete_replaced(tables)
        written_inputs: set[str] = set()
        for table in tables:
            rows = progress.counted(table.name, self._rows(table, written_inputs))
            self._insert(table, rows)
        self._revive_experiments()
        self._promote_production_stage()
        set_sequences(self._connection, tables)

    def _revive_experiments(self) -> None:
        if self.diff.revived:
            table = self._metadata.tables["experiments"]
            where = table.columns["experiment_id"].in_(self.diff.revived)
            self._connection.execute(sa.update(table).where(where).values(lifecycle_stage="active"))

    def _check_schema(self) -> None:
        here, there = revision(self._connection), self._backup.manifest.schema_revision
        if there and here != there:
            raise DatabaseModeUnavailableError(
                f"the backup's schema is MLflow's {there}, the database's is {here}",
                "import over REST, or with the MLflow version that the backup names, and upgrade then",
            )

    def _delete_replaced(self, tables: list[sa.Table]) -> None:
        """Delete the rows below what is replaced. Its own row is updated in place: rows of other things refer to it."""
        for table in reversed(tables):
            ownership = OWNERSHIP.get(table.name)
            if ownership and table.name not in ROOT_TABLES.values() and table.name != "datasets":
                owners = {self._key_here(ownership.kind, key) for key in self.diff.to_replace[ownership.kind]}
                delete_owned(self._connection, table, ownership.columns, owners)
            if table.name == INPUTS:
                runs = self.diff.to_replace["runs"]
                delete_owned(self._connection, table, ("source_id",), runs)
                delete_owned(self._connection, table, ("destination_id",), runs)

    def _key_here(self, kind: str, key: Owner) -> Owner:
        if kind == "experiments":
            return self.diff.experiments[key]
        if kind == "versions":
            return (*key[:2], self.diff.versions.get(key, key[2]))
        return key

    def _rows(self, table: sa.Table, written_inputs: set[str]) -> Iterator[dict[str, Any]]:
        """A table's rows that are written, with this database's ids."""
        name = table.name
        columns = {column.name for column in stored_columns(table)}
        for row in self._backup.rows(name):
            if not self._wants(name, row, written_inputs):
                continue
            here = self.translation.row(name, row)
            yield {column: value for column, value in here.items() if column in columns}

    def _wants(self, name: str, row: dict[str, Any], written_inputs: set[str]) -> bool:
        if name == INPUTS:
            wanted = input_run(row) in self.diff.to_write["runs"]
            if wanted:
                written_inputs.add(row["input_uuid"])
            return wanted
        if name == INPUT_TAGS:
            return row["input_uuid"] in written_inputs
        if name == "datasets":  # An experiment that exists may lack some that its new runs use.
            return self._job.selected is None or self._job.selected.includes(name, row)
        ownership = OWNERSHIP.get(name)
        if ownership is None:
            return self._job.selected is None
        return owner(name, row) in self.diff.to_write[ownership.kind]

    def _insert(self, table: sa.Table, rows: Iterator[dict[str, Any]]) -> None:
        # Without --overwrite too: the experiment that MLflow creates by itself is replaced as long as nobody used it.
        replace = table.name == "experiments" or (
            self._job.policy.overwrite and table.name in OWNERSHIP and table.name != "datasets"
        )
        while batch := list(islice(rows, _BATCH)):
            insert(self._connection, table, batch, replace=replace)

    def _plan_aliases(self) -> None:
        existing = {(row["name"], row["alias"]) for row in self._existing_aliases()}
        for row in self._backup.rows(_ALIASES):
            if owner(_ALIASES, row) not in self.diff.to_write["versions"]:
                if self._job.selected is None or self._job.selected.includes(_ALIASES, row):
                    self.plan.count("aliases", is_new=False, changes=False)
                continue
            is_new = (row["name"], row["alias"]) not in existing
            self.plan.count("aliases", is_new=is_new, changes=self._job.policy.overwrite)
            if not is_new and not self._job.policy.overwrite:
                self.plan.notes.append(f"model {row['name']}: its alias {row['alias']} stays where it is")
        for (_, name), version in self._promotions().items():
            self.plan.count("aliases", is_new=True, changes=False)
            self.plan.notes.append(f"model {name}: version {version} was in Production and becomes {CHAMPION}")

    def _promotions(self) -> dict[tuple[str, str], int]:
        """The versions that become champion because of their stage, by workspace and name."""
        to_write = self.diff.to_write["versions"]
        versions = [r for r in self._backup.rows("model_versions") if owner("model_versions", r) in to_write]
        return dict(production_champions(versions, [*self._backup.rows(_ALIASES), *self._existing_aliases()]))

    def _existing_aliases(self) -> list[dict[str, Any]]:
        query = sa.select(self._metadata.tables[_ALIASES])
        rows = [dict(row) for row in self._connection.execute(query).mappings()]
        gone = self.starter.owners["versions"] if self.starter else ()
        return [row for row in rows if owner(_ALIASES, row) not in gone]

    def _promote_production_stage(self) -> None:
        table = self._metadata.tables[_ALIASES]
        rows = []
        for (workspace, name), version in self._promotions().items():
            number = self.diff.versions.get((workspace, name, version), version)
            row = {"workspace": workspace, "name": name, "alias": CHAMPION, "version": number}
            rows.append({column: value for column, value in row.items() if column in table.columns})
        insert(self._connection, table, rows, replace=False)


def _folder_ids(owners: Mapping[Kind, set[Owner]]) -> dict[str, set[Owner]]:
    """Ids as artifact folders have them: versions have one word there, and three columns among rows."""
    columns = OWNERSHIP["model_versions"].columns
    versions = {version_id(dict(zip(columns, key, strict=True))) for key in owners["versions"]}
    return {**{str(kind): ids for kind, ids in owners.items()}, "versions": versions}
