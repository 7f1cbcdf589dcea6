"""A backup against a database: every column of every row."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from handful_backup.archive import BackupReader
from handful_backup.artifacts import Places
from handful_backup.exact.source import DatabaseSource
from handful_backup.exact.target import DatabaseTarget
from handful_backup.holders import Holders
from handful_backup.increment import DIGESTS
from handful_backup.progress import Progress
from handful_backup.tables import PASSING
from handful_backup.verifying.files import compare_files
from handful_backup.verifying.report import Report
from handful_backup.verifying.seen import Values, seen


def verify_database(
    connection: sa.Connection, places: Places, backup: BackupReader, progress: Progress, jobs: int
) -> Report:
    """Look for all of a backup in a database and in the artifacts beside it.

    Raises:
        CannotBeExactError: the database has another schema.
    """
    source = DatabaseSource(connection)
    target = DatabaseTarget(connection, backup, None, replace=False)
    report = Report("exact")
    with seen() as rows:
        for table in backup.tables:
            if table in PASSING or table == DIGESTS:
                continue
            columns = [name for name in backup.columns(table) if name in source.columns(table)]
            expected = progress.counted(table, _expected(backup, target, table, columns))
            actual = (tuple(row[name] for name in columns) for row in source.rows(table))
            report.findings.append(rows.compare(table, expected, actual))
        runs = ((row["run_uuid"],) for row in backup.rows(DIGESTS))
        report.findings.append(rows.compare("run ids", runs, ((row["run_uuid"],) for row in source.rows("runs"))))
    holders = Holders()
    for table in source.tables:
        for row in source.rows(table) if holders.wants(table) else ():
            holders.see(table, row)
    uris: dict[tuple[str, str], str] = {(holder.kind, holder.id): holder.uri for holder in holders}
    files = {**backup.manifest.inherited, **backup.artifacts}
    report.findings.append(compare_files(files, lambda kind, name: uris.get((kind, name)), places, progress, jobs))
    return report


def _expected(backup: BackupReader, target: DatabaseTarget, table: str, columns: list[str]) -> Iterator[Values]:
    for row in backup.rows(table):
        here = target.translation.row(table, row)
        yield tuple(here[name] for name in columns)
