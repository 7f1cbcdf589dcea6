"""`handful verify`."""

from __future__ import annotations

from typing import Annotated

import typer

from handful_backup.archive import BackupReader
from handful_backup.cli.fetch import fetched
from handful_backup.cli.options import (
    Artifacts,
    AsJson,
    ChosenWay,
    Database,
    Jobs,
    PassphraseFile,
    passphrase,
    settings_with,
)
from handful_backup.errors import CannotBeExactError
from handful_backup.leftovers import remove_forgotten_work
from handful_backup.progress import Progress, size
from handful_backup.settings import BackupSettings
from handful_backup.verifying import Report
from handful_backup.ways import Server, Way, server
from handful_core.console import print_json, print_table, say
from handful_core.errors import RefusedError, UnavailableError
from handful_core.settings import CoreSettings, load


def verify(
    backup: Annotated[str, typer.Argument(metavar="BACKUP", help="A file, s3://BUCKET/KEY, or - for standard input.")],
    against_server: Annotated[
        bool, typer.Option("--server", help="Also look for all of it on the MLflow server: every row, every hash.")
    ] = False,
    way: ChosenWay = Way.AUTO,
    database: Database = "",
    artifacts: Artifacts = "",
    passphrase_file: PassphraseFile = None,
    jobs: Jobs = 0,
    as_json: AsJson = False,
) -> None:
    """Prove that a backup is whole, or that a server holds what it holds."""
    remove_forgotten_work()
    settings = settings_with(database, artifacts, passphrase_file, jobs)
    report = None
    with fetched(backup, settings) as path, BackupReader(path, passphrase(settings)) as reader, Progress() as progress:
        members = reader.manifest.members
        total = sum(member.size for member in members.values())
        progress.bytes("reading", total)
        reader.check(progress.advance)
        if against_server:
            with server(load(CoreSettings), settings, way) as found:
                report = _compare(found, reader, settings, way, progress)
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


_SHOWN = {"id", "created", "way", "format_version", "mlflow_version", "base", "counts", "not_carried", "unreadable"}


def _compare(found: Server, reader: BackupReader, settings: BackupSettings, way: Way, progress: Progress) -> Report:
    from handful_backup.verifying.exact import verify_database
    from handful_backup.verifying.portable import verify_server

    # What REST told has empty words where the database has none.
    if found.database is not None and reader.manifest.way == "exact":
        try:
            with found.database.snapshot() as connection:
                report = verify_database(connection, found.places, reader, progress, settings.jobs)
        except CannotBeExactError as error:
            if way is Way.EXACT:
                raise
            say(f"not the exact way: {error}")
        else:
            if report.holds or way is Way.EXACT or not _is_mapped(report):
                return report
            try:
                return verify_server(found.rest, found.places, reader, progress, settings.jobs)
            except UnavailableError:
                return report
    return verify_server(found.rest, found.places, reader, progress, settings.jobs)


def _is_mapped(report: Report) -> bool:
    """Whether no run has its id of old: the backup came in over REST then, and is looked for by its marks."""
    (runs,) = (finding for finding in report.findings if finding.name == "run ids")
    return runs.expected > 0 and runs.missing == runs.expected


def _conclude(report: Report, *, as_json: bool) -> None:
    if not as_json:
        print_table("On the server", ("", "expected", "missing or different", "such as"), report.table())
    if not report.holds:
        missing = sum(finding.missing for finding in report.findings)
        raise RefusedError(f"the server lacks {missing:,} of what the backup holds", "see the table, and import it")
    say(f"the server holds all of it ({report.way})")
