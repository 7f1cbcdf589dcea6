"""The starter models while nobody has used them: a restored backup takes their place.

An import of a starter marks what it brought with a tag of the registered model: a hash of all that the server then
holds. As long as the hash is right, nobody has added, changed or removed anything, so nothing of anybody's is lost if
the starter goes. A second starter that comes beside an unused one renews the mark of both. What serving and the monitor
write by themselves, below `monitoring/`, does not count and stays.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from handful_backup.archive.rows import encode_canonically
from handful_backup.artifact_folders import ArtifactFolders
from handful_backup.artifact_import import FolderKey
from handful_backup.artifacts import StoreResolver
from handful_backup.compared_fields import ComparedFields, ComparedSide
from handful_backup.mlflow_tags import STARTER
from handful_backup.plan import ImportJob
from handful_backup.selection import Rows, SelectedItems
from handful_backup.tables import ROOT_TABLES, Kind, Owner, owner

_MONITORING = "monitoring/"
_DEFAULT = ("0", "Default", "active")
"""The experiment that MLflow makes by itself, at its first start."""
_COUNTED = ("runs", "logged_models", "registered_models")

Owners = Mapping[Kind, set[Owner]]
"""Things, by kind."""
Counts = Mapping[str, int]
"""How many rows each table in `_COUNTED` has."""


class PeoplesRows:
    """A server's rows without those of experiments that serving and the monitor write by themselves.

    Args:
        source: the server.
        besides: what else is left out.
    """

    def __init__(self, source: Rows, besides: Owners | None = None) -> None:
        self._source = source
        self._own = SelectedItems({kind: set(owners) for kind, owners in (besides or {}).items()})
        experiments = self._own.of("experiments")
        experiments.update(r["experiment_id"] for r in source.rows("experiments") if r["name"].startswith(_MONITORING))
        for kind in ("runs", "models"):
            rows = source.rows(ROOT_TABLES[kind]) if experiments else ()
            self._own.of(kind).update(owner(ROOT_TABLES[kind], r) for r in rows if r["experiment_id"] in experiments)

    def rows(self, table: str) -> Iterator[dict[str, Any]]:
        """A table's rows."""
        return (row for row in self._source.rows(table) if not self._own.includes(table, row))


@dataclass(frozen=True, slots=True)
class StarterMark:
    """What the server held when the starter was imported.

    Attributes:
        runs: their number.
        rows: a hash of all rows that REST shows.
        files: a hash of the artifacts' names and sizes.
    """

    runs: int
    rows: str
    files: str

    def as_tag(self) -> str:
        """The tag's value."""
        return json.dumps(asdict(self))


def mark_of(source: Rows, stores: StoreResolver) -> StarterMark:
    """The mark of what a server holds now."""
    rows = PeoplesRows(source)
    return StarterMark(_run_count(rows), _hash_of_rows(rows), hash_of_files(files_of(source, stores)))


def read_mark(source: Rows) -> StarterMark | None:
    """The mark that all registered models bear; None if one bears none or another."""
    found = {row["name"]: row["value"] for row in source.rows("registered_model_tags") if row["key"] == STARTER}
    if not found or {row["name"] for row in source.rows("registered_models")} != set(found):
        return None
    value, *others = set(found.values())
    try:
        return None if others else StarterMark(**json.loads(value))
    except (ValueError, TypeError):  # Somebody has written it.
        return None


def has_unchanged_rows(source: Rows, mark: StarterMark) -> bool:
    """Whether a server's rows are those that were there when the starter was imported."""
    rows = PeoplesRows(source)
    return _run_count(rows) == mark.runs and _hash_of_rows(rows) == mark.rows


def files_of(source: Rows, stores: StoreResolver) -> Mapping[FolderKey, set[tuple[str, int]]]:
    """The names and sizes of all artifacts, by kind and id of their folder."""
    found: dict[FolderKey, set[tuple[str, int]]] = {}
    for folder in ArtifactFolders.of(PeoplesRows(source)):
        store, path = stores.resolve(folder.uri)
        found[folder.kind, folder.id] = {(file.path, file.size) for file in store.list(path)}
    return found


def hash_of_files(files: Mapping[FolderKey, set[tuple[str, int]]]) -> str:
    """A hash of the names and sizes of artifacts."""
    return _hash(
        encode_canonically([*folder, *file]) for folder, found in sorted(files.items()) for file in sorted(found)
    )


@dataclass(slots=True)
class StarterThings:
    """What the starter brought, by kind."""

    owners: dict[Kind, set[Owner]] = field(default_factory=lambda: {kind: set() for kind in ROOT_TABLES})

    @classmethod
    def of(cls, source: Rows) -> StarterThings:
        """All that an untouched server holds, less what MLflow, serving and the monitor make by themselves."""
        rows, things = PeoplesRows(source), cls()
        for kind, table in ROOT_TABLES.items():
            things.owners[kind].update(owner(table, row) for row in rows.rows(table))
        things.owners["experiments"].discard(0)
        return things


def gives_way(things: StarterThings) -> str:
    """The line that says so."""
    if len(things.owners["registered"]) > 1:
        return "the starter models, which nobody has used or changed, give way to the backup"
    return "the starter model, which nobody has used or changed, gives way to the backup"


def counts_before(source: Rows, stores: StoreResolver, besides: Owners | None = None) -> Counts | None:
    """What a server holds before a starter is imported: other starters that nobody has used, or nothing marked.

    Args:
        source: the server.
        stores: where its artifacts are.
        besides: what an import of the same starter that was broken off has left.

    Returns:
        None if somebody has changed what another starter brought.
    """
    rows = PeoplesRows(source, besides and _without_shared_experiments(source, besides))
    if not any(row["key"] == STARTER for row in rows.rows("registered_model_tags")):
        return dict.fromkeys(_COUNTED, 0)
    mark = read_mark(rows)
    if mark is None or mark_of(rows, stores) != mark:
        return None
    return _counts(rows)


def _without_shared_experiments(source: Rows, things: Owners) -> Owners:
    """The things without the experiments that hold others', too: two starters may have one of the same name."""
    shared = {
        row["experiment_id"]
        for kind in ("runs", "models")
        for row in source.rows(ROOT_TABLES[kind])
        if owner(ROOT_TABLES[kind], row) not in things[kind]
    }
    return {**things, "experiments": things["experiments"] - shared}


def is_markable(job: ImportJob, source: Rows, before: Counts | None) -> bool:
    """Whether a server holds exactly what imports of starters bring: one model each, and nothing else.

    A backup of a whole server is never taken for a starter: it is somebody's.

    Args:
        job: the import, which is done.
        source: the server.
        before: what it held before, see `counts_before`.
    """
    manifest = job.backup.manifest
    if before is None or "models" not in manifest.selection or job.selected is not None or job.policy.prefix:
        return False
    expected = {table: before[table] + manifest.counts.get(table, 0) for table in _COUNTED}
    return _counts(PeoplesRows(source)) == expected


def may_replace_starter(job: ImportJob, source: Rows) -> bool:
    """Whether an import is a restore: of a whole backup, or of one that has what the starter's aliases name.

    Args:
        job: the import.
        source: the server, which holds the starter.
    """
    manifest = job.backup.manifest
    if job.policy.prefix or manifest.base:
        return False
    if job.selected is None and not manifest.selection:
        return True
    table = "registered_model_aliases"
    rows = (row for row in job.backup.rows(table) if job.selected is None or job.selected.includes(table, row))
    brought = {(row["name"], row["alias"]) for row in rows}
    return {(row["name"], row["alias"]) for row in source.rows(table)} <= brought


def _counts(rows: Rows) -> Counts:
    return {table: sum(1 for _ in rows.rows(table)) for table in _COUNTED}


def _run_count(rows: Rows) -> int:
    return sum(1 for _ in rows.rows("runs"))


def _hash_of_rows(rows: Rows) -> str:
    fields = ComparedFields(ComparedSide.of(rows, None))
    lines: list[bytes] = []
    for table, read in fields.readers.items():
        found = {read(row) for row in rows.rows(table)} - {None, _DEFAULT}
        lines += sorted(encode_canonically([table, *values]) for values in found if values is not None)
    lines += sorted({encode_canonically(list(named)) for named in fields.named_versions(rows)})
    return _hash(lines)


def _hash(lines: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line)
    return digest.hexdigest()
