"""A backup against a database: every column of every row."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from handful_backup.archive import BackupReader
from handful_backup.artifact_folders import ArtifactFolders
from handful_backup.artifacts import StoreResolver
from handful_backup.compared_fields import Values
from handful_backup.exact.importer import DatabaseTarget
from handful_backup.exact.source import DatabaseSource
from handful_backup.increment import DIGESTS
from handful_backup.plan import ImportJob
from handful_backup.progress import Progress
from handful_backup.tables import EPHEMERAL_TABLES
from handful_backup.verification.report import Report, compare_artifacts, row_set


def verify_database(
    connection: sa.Connection, stores: StoreResolver, backup: BackupReader, progress: Progress, jobs: int
) -> Report:
    """Look for all of a backup in a database and in the artifacts beside it.

    Raises:
        DatabaseModeUnavailableError: the database has another schema.
    """
    source = DatabaseSource(connection)
    target = DatabaseTarget(connection, ImportJob(backup, jobs))
    report = Report("exact")
    with row_set() as rows:
        for table in backup.tables:
            if table in EPHEMERAL_TABLES or table == DIGESTS:
                continue
            columns = [name for name in backup.columns(table) if name in source.columns(table)]
            expected = progress.counted(table, _expected(backup, target, table, columns))
            actual = (tuple(row[name] for name in columns) for row in source.rows(table))
            report.findings.append(rows.compare(table, expected, actual))
        runs = ((row["run_uuid"],) for row in backup.rows(DIGESTS))
        report.findings.append(rows.compare("run ids", runs, ((row["run_uuid"],) for row in source.rows("runs"))))
    uris = ArtifactFolders.of(source).uris()
    files = {**backup.manifest.inherited, **backup.artifacts}
    report.findings.append(compare_artifacts(files, lambda kind, name: uris.get((kind, name)), stores, progress, jobs))
    return report


def _expected(backup: BackupReader, target: DatabaseTarget, table: str, columns: list[str]) -> Iterator[Values]:
    for row in backup.rows(table):
        here = target.translation.row(table, row)
        yield tuple(here[name] for name in columns)
