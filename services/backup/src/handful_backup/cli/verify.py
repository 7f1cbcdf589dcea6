"""`handful verify`."""

from __future__ import annotations

from typing import Annotated

import typer

from handful_backup.archive import BackupReader
from handful_backup.cli.options import (
    Artifacts,
    AsJson,
    Database,
    Embedded,
    Jobs,
    ModeOption,
    PassphraseFile,
    load_settings,
    mode_of,
    passphrase,
)
from handful_backup.errors import DatabaseModeUnavailableError
from handful_backup.location import fetch_backup
from handful_backup.mlflow_target import MlflowTarget, Mode, open_target
from handful_backup.progress import Progress, size
from handful_backup.settings import BackupSettings
from handful_backup.temp_cleanup import remove_stale_work_folders
from handful_backup.verification import Report
from handful_core.console import print_json, print_table, say
from handful_core.errors import RefusedError, UnavailableError
from handful_core.settings import CoreSettings, load

_SHOWN = {"id", "created", "way", "format_version", "mlflow_version", "base", "counts", "not_carried", "unreadable"}


def verify(
    backup: Annotated[str, typer.Argument(metavar="BACKUP", help="A file, s3://BUCKET/KEY, or - for standard input.")],
    against_server: Annotated[
        bool, typer.Option("--server", help="Also look for all of it on the MLflow server: every row, every hash.")
    ] = False,
    embedded: Embedded = False,
    way: ModeOption = Mode.AUTO,
    database: Database = "",
    artifacts: Artifacts = "",
    passphrase_file: PassphraseFile = None,
    jobs: Jobs = 0,
    as_json: AsJson = False,
) -> None:
    """Prove that a backup is whole, or that a server holds what it holds."""
    remove_stale_work_folders()
    settings = load_settings(database, artifacts, passphrase_file, jobs)
    mode = mode_of(way, settings, embedded=embedded)
    report = None
    with (
        fetch_backup(backup, settings) as path,
        BackupReader(path, passphrase(settings)) as reader,
        Progress() as progress,
    ):
        members = reader.manifest.members
        total = sum(member.size for member in members.values())
        progress.bytes("reading", total)
        reader.check(progress.advance)
        if against_server:
            with open_target(load(CoreSettings), settings, mode, embedded=embedded) as target:
                report = _compare(target, reader, settings, mode, progress)
    made = f"made {reader.manifest.created:%Y-%m-%d %H:%M} UTC, {reader.manifest.way}"
    say(f"{backup} is whole: {len(members):,} members, {size(total)}, {made}")
    if unreadable := reader.manifest.unreadable:
        count = f"{len(unreadable)} artifacts or folders of them"
        say(f"not in it, as they could not be read: {count}, such as {unreadable[0]}")
    if as_json:
        summary = {"members": len(members), "bytes": total, **reader.manifest.model_dump(mode="json", include=_SHOWN)}
        print_json({"whole": True, **summary, "server": report.as_json() if report else None})
    if report:
        _conclude(report, as_json=as_json)


def _compare(
    target: MlflowTarget, reader: BackupReader, settings: BackupSettings, mode: Mode, progress: Progress
) -> Report:
    from handful_backup.verification.database import verify_database
    from handful_backup.verification.server import verify_server

    # A backup made over REST has empty strings where the database has NULL, so its rows cannot be compared with rows.
    if target.database is not None and reader.manifest.way == "exact":
        try:
            with target.database.snapshot() as connection:
                report = verify_database(connection, target.stores, reader, progress, settings.jobs)
        except DatabaseModeUnavailableError as error:
            if mode is Mode.DATABASE:
                raise
            say(f"not the exact way: {error}")
        else:
            if report.holds or mode is Mode.DATABASE or not _is_mapped(report):
                return report
            try:
                return verify_server(target.rest, target.stores, reader, progress, settings.jobs)
            except UnavailableError:
                return report
    return verify_server(target.rest, target.stores, reader, progress, settings.jobs)


def _is_mapped(report: Report) -> bool:
    """Whether no run has its original id: the backup was imported over REST then, and its tags tell where."""
    (runs,) = (finding for finding in report.findings if finding.name == "run ids")
    return runs.expected > 0 and runs.missing == runs.expected


def _conclude(report: Report, *, as_json: bool) -> None:
    if not as_json:
        print_table("On the server", ("", "expected", "missing or different", "such as"), report.table())
    if not report.holds:
        missing = sum(finding.missing for finding in report.findings)
        raise RefusedError(f"the server lacks {missing:,} of what the backup holds", "see the table, and import it")
    say(f"the server holds all of it ({report.way})")
