"""The exact way in: artifacts first, then all rows at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import sqlalchemy as sa

from handful_backup.archive import BackupReader
from handful_backup.artifacts import Places
from handful_backup.exact.database import Database
from handful_backup.exact.target import DatabaseTarget
from handful_backup.holders import version_id
from handful_backup.plan import Plan
from handful_backup.progress import Progress
from handful_backup.restoring import Folder, Restoring
from handful_backup.selection import Chosen
from handful_backup.tables import BELONGS, Kind, Owner


class ExactImport:
    """An import into a database."""

    def __init__(
        self, database: Database, places: Places, backup: BackupReader, chosen: Chosen | None, *, replace: bool
    ) -> None:
        self._database = database
        self._places = places
        self._backup = backup
        self._chosen = chosen
        self._replace = replace

    def plan(self) -> Plan:
        """What would be done."""
        with self._database.snapshot() as connection:
            return self._target(connection).plan

    def run(self, progress: Progress, jobs: int) -> Plan:
        """Do it. Artifacts are sent before the rows that name them; the rows are all there at the end, or none."""
        with self._database.snapshot() as connection:
            target = self._target(connection)
        plan = target.plan
        Restoring(self._backup, self._places, progress, jobs).run(self._folders(target))
        with self._database.transaction() as connection:
            self._target(connection).write(progress)
        return plan

    def _target(self, connection: sa.Connection) -> DatabaseTarget:
        return DatabaseTarget(connection, self._backup, self._chosen, replace=self._replace)

    def _folders(self, target: DatabaseTarget) -> Iterator[tuple[Folder, str, bool]]:
        """The folders of what is taken, with their new places, and whether what is there gives way."""
        taken, replaced = _ids(target.decision.taken), _ids(target.decision.replaced)
        for (kind, name), holder in target.translation.holders.items():
            if name in taken[kind]:
                yield (kind, name), str(target.translation.place(holder.uri)), name in replaced[kind]


def _ids(owners: Mapping[Kind, set[Owner]]) -> dict[str, set[Owner]]:
    """What holders are called: versions by another word than among rows."""
    columns = BELONGS["model_versions"].columns
    versions = {version_id(dict(zip(columns, key, strict=True))) for key in owners["versions"]}
    return {**{str(kind): ids for kind, ids in owners.items()}, "versions": versions}
