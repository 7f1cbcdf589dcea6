"""What of a backup is new to a database, and under which ids it goes there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from handful_backup.plan import ImportJob, ImportPlan
from handful_backup.starter import StarterThings
from handful_backup.tables import DEFAULT_WORKSPACE, ROOT_TABLES, Kind, Owner, Record, is_deleted_version, owner

_LINES: Mapping[Kind, str] = {
    "experiments": "experiments",
    "runs": "runs",
    "models": "logged models",
    "traces": "traces",
    "registered": "registered models",
    "versions": "versions",
}
"""Kinds, as a plan calls them."""
_CONTENT = ("runs", "logged_models", "trace_info", "experiment_tags", "datasets")
"""Tables in which an experiment that somebody used has rows."""
_Rows = dict[Owner, Record]
"""Rows of one kind in the database, by what names them."""


@dataclass(slots=True)
class DatabaseDiff:
    """What goes into the database.

    Attributes:
        to_write: things whose rows are written, by their ids in the backup.
        to_replace: those of them that exist and are replaced.
        experiments: the database's id of each experiment in the backup.
        revived: the database's ids of experiments that are deleted there, and into which something comes.
        versions: the database's number of a version whose own one is taken.
    """

    to_write: dict[Kind, set[Owner]] = field(default_factory=lambda: {kind: set() for kind in ROOT_TABLES})
    to_replace: dict[Kind, set[Owner]] = field(default_factory=lambda: {kind: set() for kind in ROOT_TABLES})
    experiments: dict[int, int] = field(default_factory=dict)
    versions: dict[Owner, int] = field(default_factory=dict)
    revived: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Match:
    """Where a thing of the backup goes in the database.

    Attributes:
        key: what names it there.
        exists: whether it is there already.
    """

    key: Owner
    exists: bool


def compare_with_database(
    connection: sa.Connection,
    metadata: sa.MetaData,
    job: ImportJob,
    plan: ImportPlan,
    starter: StarterThings | None = None,
) -> DatabaseDiff:
    """Compare a backup with a database.

    Args:
        connection: to the database.
        metadata: its tables.
        job: the backup, and what of it is wanted.
        plan: is filled in.
        starter: what counts as not there, as it goes before the backup is written.
    """
    return _Comparison(connection, metadata, job, plan, starter or StarterThings()).run()


class _Comparison:
    def __init__(
        self,
        connection: sa.Connection,
        metadata: sa.MetaData,
        job: ImportJob,
        plan: ImportPlan,
        starter: StarterThings,
    ) -> None:
        self._connection = connection
        self._starter = starter
        self._metadata = metadata
        self._job = job
        self._plan = plan
        self._diff = DatabaseDiff()
        versions = job.backup.rows("model_versions")
        self._created = {owner("model_versions", row): row["creation_time"] for row in versions}
        self._deleted_here: dict[Kind, dict[Owner, Record]] = {"experiments": {}, "runs": {}}

    def run(self) -> DatabaseDiff:
        for kind, table in ROOT_TABLES.items():
            existing = self._existing(kind)
            for row in self._wanted(table):
                self._compare(kind, row, existing)
            # What has the starter's own id takes its place, with its files.
            self._diff.to_replace[kind] |= self._diff.to_write[kind] & self._starter.owners[kind]
        self._revive_experiments()
        self._note_deleted_runs()
        return self._diff

    def _wanted(self, table: str) -> Iterator[Record]:
        selected = self._job.selected
        return (row for row in self._job.backup.rows(table) if selected is None or selected.includes(table, row))

    def _existing(self, kind: Kind) -> _Rows:
        """What the database has of one kind; nothing where its schema lacks the table."""
        name = ROOT_TABLES[kind]
        if name not in self._metadata.tables:
            return {}
        table = self._metadata.tables[name]
        wanted = ("name", "workspace", "creation_time", "source", "run_id", "current_stage", "lifecycle_stage")
        columns = [*table.primary_key.columns, *(table.columns[c] for c in wanted if c in table.columns)]
        found = self._connection.execute(sa.select(*dict.fromkeys(columns))).mappings()
        rows = ({str(key): value for key, value in r.items()} for r in found)
        return {key: row for row in rows if (key := owner(name, row)) not in self._starter.owners[kind]}

    def _compare(self, kind: Kind, row: Record, existing: _Rows) -> None:
        key = owner(ROOT_TABLES[kind], row)
        match = self._match(kind, row, existing)
        # MLflow creates the experiment 0 by itself: as long as nobody has used it, the backup's takes its place.
        is_new = not match.exists or (kind == "experiments" and self._is_replaceable(row, existing[match.key]))
        self._plan.count(_LINES[kind], is_new=is_new, changes=self._job.policy.overwrite)
        if is_new or self._job.policy.overwrite:
            self._diff.to_write[kind].add(key)
            if match.exists:
                self._diff.to_replace[kind].add(key)
        elif kind in self._deleted_here and _is_deleted(existing[match.key]) and not _is_deleted(row):
            self._deleted_here[kind][key] = row

    def _match(self, kind: Kind, row: Record, existing: _Rows) -> _Match:
        """Find a thing, and note under which id it goes in. What goes in counts as existing for those after it."""
        if kind == "experiments":
            match = _match_experiment(row, existing)
            self._note_experiment(row, match)
            if not match.exists:
                existing[match.key] = row
            return match
        if kind == "versions":
            match = _match_version(row, existing, self._created)
            self._note_version(row, match)
            if not match.exists:
                # It has its number now, and no time of creation by which one of the next could be taken for it.
                existing[match.key] = {**row, "creation_time": None}
            return match
        key = owner(ROOT_TABLES[kind], row)
        return _Match(key, key in existing)

    def _note_experiment(self, row: Record, match: _Match) -> None:
        number = row["experiment_id"]
        self._diff.experiments[number] = match.key
        if match.key != number:
            self._plan.notes.append(f"experiment {row['name']}: number {match.key} here, {number} in the backup")

    def _note_version(self, row: Record, match: _Match) -> None:
        key = owner("model_versions", row)
        if match.key == key:
            return
        number = match.key[2]
        self._diff.versions[key] = number
        if not match.exists:
            note = f"model {row['name']}: version {row['version']} becomes {number}: its number is taken"
            self._plan.notes.append(note)

    def _revive_experiments(self) -> None:
        """Let experiments that are deleted here be active again where something active comes into them."""
        for number, row in self._deleted_here["experiments"].items():
            if self._has_something_new(number):
                self._diff.revived.add(self._diff.experiments[number])
                self._plan.lines["experiments"].there -= 1
                self._plan.lines["experiments"].changed += 1
                self._plan.notes.append(f"experiment {row['name']} is deleted here: restored for what comes into it")
            else:
                self._plan.notes.append(f"experiment {row['name']} is deleted here: --overwrite restores it")

    def _has_something_new(self, experiment: int) -> bool:
        return any(
            row["experiment_id"] == experiment and key in self._diff.to_write[kind] and not _is_deleted(row)
            for kind in ("runs", "models", "traces")
            for table in (ROOT_TABLES[kind],)
            for row in self._job.backup.rows(table)
            for key in (owner(table, row),)
        )

    def _note_deleted_runs(self) -> None:
        if deleted := len(self._deleted_here["runs"]):
            self._plan.notes.append(f"{deleted} runs of the backup are deleted here: --overwrite restores them")

    def _is_replaceable(self, row: Record, existing: Record) -> bool:
        """Whether this is the experiment that MLflow creates by itself, nobody has used it, and it is another one."""
        number, created = existing["experiment_id"], row.get("creation_time")
        if number != 0 or (created is not None and created == existing.get("creation_time")):
            return False
        tables = [self._metadata.tables[name] for name in _CONTENT if name in self._metadata.tables]
        columns = [table.columns["experiment_id"] for table in tables]
        used = (sa.select(column).where(column == number).limit(1) for column in columns)
        return not any(self._connection.execute(query).first() for query in used)


def _is_deleted(row: Record) -> bool:
    return row.get("lifecycle_stage") == "deleted"


def _match_experiment(row: Record, existing: _Rows) -> _Match:
    """By name: experiments with the same name are the same, whatever their numbers are."""
    number = row["experiment_id"]
    for key, other in existing.items():
        if _workspace_and_name(other) == _workspace_and_name(row):
            return _Match(key, exists=True)
    return _Match(max(existing) + 1 if number in existing else number, exists=False)


def _match_version(row: Record, existing: _Rows, created: Mapping[Owner, Any]) -> _Match:
    """By model and time of creation; a number that another version has is not given twice.

    Versions that were created within one millisecond are told apart by their numbers.

    Args:
        row: the version's.
        existing: versions in the database.
        created: the time of creation of each version in the backup.
    """
    key, moment = owner("model_versions", row), row["creation_time"]
    of_model = {other: found for other, found in existing.items() if other[:2] == key[:2]}
    same = [
        other
        for other, found in of_model.items()
        # One with another number may be that number's own version of the backup, created in the same millisecond.
        if found["creation_time"] == moment and (other == key or created.get(other) != moment)
    ]
    if key in of_model and (key in same or is_deleted_version(row) or is_deleted_version(of_model[key])):
        return _Match(key, exists=True)  # A deleted version's row only keeps its number: there is nothing to compare.
    if same:
        return _Match(same[0], exists=True)
    if key in of_model:
        return _Match((*key[:2], max(other[2] for other in of_model) + 1), exists=False)
    return _Match(key, exists=False)


def _workspace_and_name(row: Record) -> tuple[str, str]:
    return row.get("workspace") or DEFAULT_WORKSPACE, row["name"]
