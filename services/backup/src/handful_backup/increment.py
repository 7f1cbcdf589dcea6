"""Incremental backups: what the base has already."""

from __future__ import annotations

from collections.abc import Container
from typing import Any, Protocol

from handful_backup.archive import BackupReader, Member
from handful_backup.artifacts import Entry
from handful_backup.holders import Holder
from handful_backup.selection import Chosen
from handful_backup.tables import BELONGS, INPUT_TAGS, INPUTS, ROOTS, owner
from handful_core.errors import NotFoundError

DIGESTS = "run_digests"


class _Source(Protocol):
    def rows(self, table: str) -> Any: ...


class Base:
    """The backup that another one adds to.

    Runs that did not change since are left out, and artifacts that did not; all else is small and there again.
    """

    def __init__(self, reader: BackupReader) -> None:
        self.id = reader.manifest.id
        self.created = reader.manifest.created
        """When it was made."""
        self._digests = {row["run_uuid"]: row["digest"] for row in reader.rows(DIGESTS)}
        self._files = {**reader.manifest.inherited, **reader.artifacts}
        self._changed: set[str] = set()

    def without_unchanged(self, source: _Source, chosen: Chosen | None, digests: dict[str, str]) -> Chosen:
        """What is wanted, less the runs that the base has as they are."""
        self._changed = {run for run, digest in digests.items() if self._digests.get(run) != digest}
        carried = Everything() if chosen is None else Chosen({k: set(v) for k, v in chosen.owners.items()})
        if chosen is None:
            for kind, table in ROOTS.items():
                carried.of(kind).update(owner(table, row) for row in source.rows(table))
        carried.owners["runs"] = set(self._changed)
        return carried

    def unchanged(self, member: str, holder: Holder, entry: Entry) -> Member | None:
        """The base's copy of a file, if it is the same: same size, and not touched since where the store tells."""
        kept = self._files.get(member)
        if kept is None or kept.size != entry.size:
            return None
        if entry.modified is not None:
            return kept if entry.modified < self.created.timestamp() else None
        changed = holder.kind == "runs" and holder.id in self._changed
        return None if changed else kept


def require_base(backup: BackupReader, there: Container[str]) -> None:
    """Make sure that the runs which an incremental backup leaves out are there.

    Args:
        backup: any backup.
        there: ids, in the backup, of the runs that the server has.

    Raises:
        NotFoundError: they are not.
    """
    if not backup.manifest.base:
        return
    carried = {row["run_uuid"] for row in backup.rows("runs")}
    missing = [
        r["run_uuid"] for r in backup.rows(DIGESTS) if r["run_uuid"] not in carried and r["run_uuid"] not in there
    ]
    if missing:
        raise NotFoundError(
            f"{backup.path} adds to the backup {backup.manifest.base}, of which {len(missing)} runs are not here",
            "import that one first",
        )


class Everything(Chosen):
    """All things but the runs that did not change."""

    def takes(self, table: str, row: Any) -> bool:
        """Whether a row is wanted: also of the tables that belong to nothing known."""
        return super().takes(table, row) if table in BELONGS or table in {INPUTS, INPUT_TAGS} else True
