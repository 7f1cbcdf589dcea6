"""Incremental backups: what the base has already."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from handful_backup.archive import BackupReader, Member
from handful_backup.artifact_folders import ArtifactFolder
from handful_backup.artifacts import ArtifactFile
from handful_backup.selection import Rows, SelectedItems
from handful_backup.tables import INPUT_TAGS, INPUTS, OWNERSHIP, ROOT_TABLES, owner
from handful_core.errors import NotFoundError

DIGESTS = "run_digests"


class BaseBackup:
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

    def without_unchanged(self, source: Rows, selected: SelectedItems | None, digests: dict[str, str]) -> SelectedItems:
        """What is wanted, less the runs that the base has as they are. Comes before `unchanged`."""
        self._changed = {run for run, digest in digests.items() if self._digests.get(run) != digest}
        carried = (
            AllButUnchanged() if selected is None else SelectedItems({k: set(v) for k, v in selected.owners.items()})
        )
        if selected is None:
            for kind, table in ROOT_TABLES.items():
                carried.of(kind).update(owner(table, row) for row in source.rows(table))
        carried.owners["runs"] = set(self._changed)
        return carried

    def unchanged(self, member: str, folder: ArtifactFolder, file: ArtifactFile) -> Member | None:
        """The base's copy of a file, if the file did not change; else None.

        It did not if its size is the same and, where the store tells the time, it is older than the base. Where the
        store does not tell, the files of a run to which nothing was logged count as unchanged.
        """
        kept = self._files.get(member)
        if kept is None or kept.size != file.size:
            return None
        if file.modified is not None:
            # A younger file may have been written before or after the base copied it: it is copied again.
            return kept if file.modified < self.created.timestamp() else None
        changed = folder.kind == "runs" and folder.id in self._changed
        return None if changed else kept


def require_base(backup: BackupReader, existing: Container[str]) -> None:
    """Make sure that the server has the runs which an incremental backup leaves out.

    Args:
        backup: any backup.
        existing: ids, in the backup, of the runs that the server has.

    Raises:
        NotFoundError: it lacks some.
    """
    if not backup.manifest.base:
        return
    carried = {row["run_uuid"] for row in backup.rows("runs")}
    missing = [
        r["run_uuid"] for r in backup.rows(DIGESTS) if r["run_uuid"] not in carried and r["run_uuid"] not in existing
    ]
    if missing:
        raise NotFoundError(
            f"{backup.path} adds to the backup {backup.manifest.base}, of which {len(missing)} runs are not here",
            "import that one first",
        )


class AllButUnchanged(SelectedItems):
    """All things but the runs that did not change since the base."""

    def includes(self, table: str, row: Any) -> bool:
        """Whether a row is wanted: also one of a table that no kind of thing owns."""
        return super().includes(table, row) if table in OWNERSHIP or table in {INPUTS, INPUT_TAGS} else True
