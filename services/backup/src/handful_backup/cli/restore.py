"""`handful import`."""

from __future__ import annotations

import shlex
import time
from typing import Annotated

import typer

from handful_backup.archive import BackupReader
from handful_backup.cli.options import (
    Artifacts,
    AsJson,
    Database,
    Embedded,
    Experiments,
    Jobs,
    Models,
    ModeOption,
    Newer,
    Older,
    PassphraseFile,
    load_settings,
    mode_of,
    passphrase,
)
from handful_backup.embedded import EmbeddedMlflow
from handful_backup.errors import DatabaseModeUnavailableError
from handful_backup.exact.importer import DatabaseImport
from handful_backup.location import STANDARD_STREAM, fetch_backup
from handful_backup.mlflow_target import MlflowTarget, Mode, open_target
from handful_backup.plan import ConflictPolicy, ImportJob, ImportPlan
from handful_backup.portable.importer import RestImport
from handful_backup.progress import Progress
from handful_backup.selection import Selection, select
from handful_backup.tables import REST_TABLES
from handful_backup.temp_cleanup import remove_stale_work_folders
from handful_core.console import print_json, print_table, say
from handful_core.errors import ConfigError
from handful_core.settings import CoreSettings, load

Backup = Annotated[str, typer.Argument(metavar="BACKUP", help="A file, s3://BUCKET/KEY, or - for standard input.")]

_NOT_KEPT_OVER_REST = (
    "ids of experiments, runs and logged models (kept as tags handful.source_*)",
    "creation times of experiments, logged models and versions, and users of versions (kept in handful.source_times)",
)


def restore(
    backup: Backup,
    experiment: Experiments = None,
    model: Models = None,
    newer_than: Newer = "",
    older_than: Older = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what exists by what the backup has.")] = False,
    rename_prefix: Annotated[
        str,
        typer.Option(
            "--rename-prefix", metavar="PREFIX", help="Make copies: put this before names of experiments and models."
        ),
    ] = "",
    as_starter: Annotated[
        bool, typer.Option("--as-starter", help="Mark a model of a new server: while unused, it gives way to a backup.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and write nothing.")] = False,
    embedded: Embedded = False,
    way: ModeOption = Mode.AUTO,
    database: Database = "",
    artifacts: Artifacts = "",
    passphrase_file: PassphraseFile = None,
    jobs: Jobs = 0,
    as_json: AsJson = False,
) -> None:
    """Bring a backup back: what exists is left as it is."""
    started = time.monotonic()
    remove_stale_work_folders()
    settings = load_settings(database, artifacts, passphrase_file, jobs)
    mode = mode_of(way, settings, embedded=embedded)
    selection = Selection(tuple(experiment or ()), tuple(model or ()), newer_than, older_than)
    with fetch_backup(backup, settings) as path, BackupReader(path, passphrase(settings)) as reader:
        with Progress() as progress:
            progress.bytes("checking", sum(member.size for member in reader.manifest.members.values()))
            reader.check(progress.advance)
        policy = ConflictPolicy(overwrite, rename_prefix)
        job = ImportJob(reader, settings.jobs, select(selection, reader), policy)
        core = load(CoreSettings)
        if embedded and not dry_run:
            EmbeddedMlflow(core.home).create()
        with open_target(core, settings, mode, embedded=embedded) as target:
            plan = import_backup(target, job, mode, dry_run=dry_run, as_starter=as_starter)
    _report(plan, backup, time.monotonic() - started, dry_run=dry_run, as_json=as_json)
    if not as_json and not as_starter and not plan.nothing_to_do:
        whole = job.selected is None and not policy.prefix and backup != STANDARD_STREAM
        say(_next(backup if whole else None, way, embedded=embedded, dry_run=dry_run))


def _next(backup: str | None, way: Mode, *, embedded: bool, dry_run: bool) -> str:
    """The command that comes next, in words; `backup` is None where a part was imported, or copies were."""
    if dry_run:
        return "next: the same without --dry-run"
    if backup is None:
        return "next: handful models lists what there is now"
    options = ["--embedded"] if embedded else [] if way is Mode.AUTO else ["--way", way.value]
    words = shlex.join(["handful", "verify", backup, "--server", *options])
    return f"next: {words} proves that the server holds all of it"


def import_backup(
    target: MlflowTarget, job: ImportJob, mode: Mode, *, dry_run: bool, as_starter: bool = False
) -> ImportPlan:
    """Import a backup, into the database where that can be.

    Args:
        target: the server.
        job: what is imported.
        mode: what was asked for.
        dry_run: whether to plan only.
        as_starter: whether what is brought is marked as the starter model.

    Raises:
        DatabaseModeUnavailableError: the database was asked for and has another schema.
        ConfigError: the database was asked for, and copies under new names.
    """
    if job.backup.manifest.base and not job.policy.overwrite:
        say("it adds to another backup: what that one brought is brought up to this one with --overwrite only")
    if job.policy.prefix and mode is Mode.DATABASE:
        raise ConfigError("--rename-prefix makes copies, which get new ids", "leave --way exact out")
    # Rows keep their ids, so copies are only made over REST.
    if target.database is not None and not job.policy.prefix:
        try:
            database = DatabaseImport(target.database, target.stores, job, as_starter=as_starter)
            return _import_rows(database, target.why, dry_run=dry_run)
        except DatabaseModeUnavailableError as error:
            if mode is Mode.DATABASE:
                raise
            say(f"not the exact way: {error}")
    return _import_over_rest(target, job, dry_run=dry_run, as_starter=as_starter)


def _import_rows(database_import: DatabaseImport, why: str, *, dry_run: bool) -> ImportPlan:
    say(why)
    if dry_run:
        return database_import.plan()
    with Progress() as progress:
        return database_import.run(progress)


def _import_over_rest(target: MlflowTarget, job: ImportJob, *, dry_run: bool, as_starter: bool) -> ImportPlan:
    with Progress() as progress, RestImport(target.rest, target.stores, job, progress) as rest_import:
        plan = rest_import.plan()
        if plan.nothing_to_do:
            return plan
        say(f"portable: over REST to {target.rest.uri}")
        for field in _NOT_KEPT_OVER_REST:
            say(f"not kept this way: {field}")
        for table, count in job.backup.manifest.counts.items():
            if count and table not in REST_TABLES and not table.startswith("artifact"):
                say(f"not carried this way: {table} ({count} rows)")
        if not dry_run:
            run = rest_import.run_as_starter if as_starter else rest_import.run
            run(plan)
        return plan


def _report(plan: ImportPlan, backup: str, seconds: float, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json({**plan.as_json(), "dry_run": dry_run, "seconds": round(seconds, 2)})
        return
    for note in plan.notes:
        say(note)
    if plan.nothing_to_do and not dry_run:
        as_it_is = "nothing is new, and what is here stays as it is"
        say(f"{backup}: {as_it_is if plan.notes else 'all of it is there already, nothing to do'}")
        return
    title = "What an import would do" if dry_run else f"Imported in {seconds:.1f} s"
    print_table(title, ("", "new", "changed", "there already"), plan.table())
