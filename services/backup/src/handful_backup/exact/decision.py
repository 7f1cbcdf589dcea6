"""What of a backup is new to a database, and under which ids it goes there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from handful_backup.plan import Plan
from handful_backup.selection import Chosen, Rows
from handful_backup.tables import DELETED_VERSION, ROOTS, Kind, Owner, Record, owner

_LINES: Mapping[Kind, str] = {
    "experiments": "experiments",
    "runs": "runs",
    "models": "logged models",
    "traces": "traces",
    "registered": "registered models",
    "versions": "versions",
}


_CONTENT = ("runs", "logged_models", "trace_info", "experiment_tags", "datasets")


@dataclass(slots=True)
class Decision:
    """What goes into the database.

    Attributes:
        taken: things whose rows are written, by their ids in the backup.
        replaced: those of them that are there and give way.
        experiments: the database's id of each experiment in the backup.
        versions: the database's number of a version whose own one is taken.
        created: times of creation of the backup's versions.
    """

    taken: dict[Kind, set[Owner]] = field(default_factory=dict)
    replaced: dict[Kind, set[Owner]] = field(default_factory=dict)
    experiments: dict[int, int] = field(default_factory=dict)
    versions: dict[Owner, int] = field(default_factory=dict)
    created: dict[Owner, int | None] = field(default_factory=dict)


def decide(
    connection: sa.Connection,
    metadata: sa.MetaData,
    backup: Rows,
    chosen: Chosen | None,
    plan: Plan,
    *,
    replace: bool,
) -> Decision:
    """Compare a backup with a database.

    Args:
        connection: to the database.
        metadata: its tables.
        backup: the backup's rows.
        chosen: what of them is wanted; None for all.
        plan: is filled in.
        replace: whether what is there gives way.
    """
    decision = Decision()
    decision.created = {owner("model_versions", row): row["creation_time"] for row in backup.rows("model_versions")}
    for kind, root in ROOTS.items():
        line = plan.lines[_LINES[kind]]
        there = _there(connection, metadata.tables[root]) if root in metadata.tables else {}
        taken, replaced = decision.taken.setdefault(kind, set()), decision.replaced.setdefault(kind, set())
        for row in backup.rows(root):
            if chosen is not None and not chosen.takes(root, row):
                continue
            key = owner(root, row)
            exists = _find(kind, row, there, decision, plan)
            if kind == "experiments" and exists and _is_untouched(connection, metadata, decision.experiments[key]):
                line.new += 1
                taken.add(key)
                replaced.add(key)
                continue
            if not exists:
                line.new += 1
                taken.add(key)
            elif replace:
                line.changed += 1
                taken.add(key)
                replaced.add(key)
            else:
                line.there += 1
    return decision


def _there(connection: sa.Connection, table: sa.Table) -> dict[Owner, Mapping[str, Any]]:
    """What the database has of one kind."""
    wanted = ("name", "workspace", "creation_time", "source", "run_id", "current_stage")
    columns = [*table.primary_key.columns, *(table.columns[c] for c in wanted if c in table.columns)]
    found = connection.execute(sa.select(*dict.fromkeys(columns))).mappings()
    return {owner(table.name, row): row for row in map(_record, found)}


def _record(row: sa.RowMapping) -> dict[str, Any]:
    return {str(key): value for key, value in row.items()}


def _find(kind: Kind, row: Record, there: dict[Owner, Mapping[str, Any]], decision: Decision, plan: Plan) -> bool:
    if kind == "experiments":
        return _find_experiment(row, there, decision, plan)
    if kind == "versions":
        return _find_version(row, there, decision, plan)
    return owner(ROOTS[kind], row) in there


def _find_experiment(row: Record, there: dict[Owner, Mapping[str, Any]], decision: Decision, plan: Plan) -> bool:
    """By name: what is called the same is the same experiment, whatever its number is here."""
    number = row["experiment_id"]
    same = [key for key, other in there.items() if _named(other) == _named(row)]
    if same:
        decision.experiments[number] = same[0]
    elif number in there:
        decision.experiments[number] = max(there) + 1
    else:
        decision.experiments[number] = number
    if decision.experiments[number] != number:
        plan.notes.append(
            f"experiment {row['name']}: number {decision.experiments[number]} here, {number} in the backup"
        )
    if not same:
        there[decision.experiments[number]] = row
    return bool(same)


def _is_untouched(connection: sa.Connection, metadata: sa.MetaData, number: int) -> bool:
    """Whether this is the experiment that MLflow makes by itself, and nobody has used it."""
    tables = [metadata.tables[name] for name in _CONTENT if name in metadata.tables]
    used = (
        sa.select(table.columns["experiment_id"]).where(table.columns["experiment_id"] == number) for table in tables
    )
    return number == 0 and not any(connection.execute(query.limit(1)).first() for query in used)


def _named(row: Record) -> tuple[str, str]:
    return row.get("workspace") or "default", row["name"]


def _find_version(row: Record, there: dict[Owner, Mapping[str, Any]], decision: Decision, plan: Plan) -> bool:
    """By model and time of creation; a number that another version has is not given twice.

    Versions that were made within one millisecond are told apart by their numbers.
    """
    key, created = owner("model_versions", row), row["creation_time"]
    family = {k: other for k, other in there.items() if k[:2] == key[:2]}
    same = [
        k
        for k, other in family.items()
        if other["creation_time"] == created and (k == key or decision.created.get(k) != created)
    ]
    # A deleted version's row keeps its number and tells nothing more.
    if key in family and (key in same or DELETED_VERSION in {row["current_stage"], family[key]["current_stage"]}):
        same = [key]
    if same:
        if same[0] != key:
            decision.versions[key] = same[0][2]
        return True
    if key in family:
        number = max(k[2] for k in family) + 1
        decision.versions[key] = number
        plan.notes.append(f"model {row['name']}: version {row['version']} becomes {number}: its number is taken")
        key = (*key[:2], number)
    there[key] = {**row, "creation_time": None}  # It has its number now, and is none that was here.
    return False
