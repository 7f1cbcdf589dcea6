"""`handful export`."""

from __future__ import annotations

import shlex
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from handful_backup.archive import BackupReader, BackupWriter, Manifest
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
    validate_passphrase,
)
from handful_backup.exact.source import DatabaseSource
from handful_backup.export_backup import ExportJob, Source, export_backup
from handful_backup.increment import BaseBackup
from handful_backup.location import STANDARD_STREAM, backup_name, fetch_backup, open_output, rotate
from handful_backup.mlflow_target import MlflowTarget, Mode, open_target
from handful_backup.portable.source import RestSource
from handful_backup.progress import Progress, size
from handful_backup.selection import Selection
from handful_backup.settings import BackupSettings
from handful_backup.temp_cleanup import remove_stale_work_folders
from handful_core.console import print_json, say
from handful_core.errors import ConfigError
from handful_core.settings import CoreSettings, load

Out = Annotated[
    str,
    typer.Option(
        "--out", metavar="FILE", help="A file, a folder (its name is made), s3://BUCKET/PATH, or - for standard output."
    ),
]
_REPORTED = {"experiments": "experiment", "runs": "run", "metrics": "metric point", "model_versions": "version"}
"""Tables whose rows are counted in the last line, by their names there."""


def export(
    out: Out = ".",
    experiment: Experiments = None,
    model: Models = None,
    newer_than: Newer = "",
    older_than: Older = "",
    since: Annotated[str, typer.Option("--since", metavar="BACKUP", help="Only what changed since this backup.")] = "",
    keep: Annotated[int, typer.Option("--keep", help="Remove all but the newest backups in the folder.", min=0)] = 0,
    embedded: Embedded = False,
    way: ModeOption = Mode.AUTO,
    database: Database = "",
    artifacts: Artifacts = "",
    passphrase_file: PassphraseFile = None,
    jobs: Jobs = 0,
    as_json: AsJson = False,
) -> None:
    """Write all of an MLflow server into one ZIP file."""
    if as_json and out == STANDARD_STREAM:
        raise ConfigError("standard output takes the backup or the JSON", "leave --json out, or name a file")
    started = time.monotonic()
    remove_stale_work_folders()
    settings = load_settings(database, artifacts, passphrase_file, jobs)
    mode = mode_of(way, settings, embedded=embedded)
    secret = validate_passphrase(passphrase(settings))
    selection = Selection(tuple(experiment or ()), tuple(model or ()), newer_than, older_than)
    with ExitStack() as stack:
        base = _base(stack, since, settings)
        target = stack.enter_context(open_target(load(CoreSettings), settings, mode, embedded=embedded))
        say(target.why)
        created = datetime.now(UTC)
        source = _source(stack, target, settings.jobs)
        location = _location(out, created, base, keep)
        job = ExportJob(selection, base, created, target.display_url, target.version(), settings.jobs)
        with open_output(location, settings) as stream, BackupWriter(stream, secret) as writer, Progress() as progress:
            manifest = export_backup(source, target.stores, writer, job, progress)
    removed = rotate(location, keep, settings) if keep else []
    _report(manifest, location, removed, time.monotonic() - started, as_json=as_json)
    if not as_json and location != STANDARD_STREAM:
        say(f"next: {shlex.join(['handful', 'verify', location])} proves that it is whole")


def _base(stack: ExitStack, since: str, settings: BackupSettings) -> BaseBackup | None:
    if not since:
        return None
    path = stack.enter_context(fetch_backup(since, settings))
    return BaseBackup(stack.enter_context(BackupReader(path, passphrase(settings))))


def _source(stack: ExitStack, target: MlflowTarget, jobs: int) -> Source:
    if target.database is not None:
        return DatabaseSource(stack.enter_context(target.database.snapshot()))
    return stack.enter_context(RestSource(target.rest, jobs))


def counted(count: int, noun: str) -> str:
    """A number with its noun: `1 version`, `2,000 versions`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _location(out: str, created: datetime, base: BaseBackup | None, keep: int) -> str:
    """Where the backup goes; its name is made here for a folder, so that backups can be told apart and rotated."""
    name = backup_name(created, base.created if base else None)
    if out.startswith("s3://"):
        location = out if out.endswith(".zip") else f"{out.rstrip('/')}/{name}"
    elif out == STANDARD_STREAM:
        location = out
    else:
        location = str(Path(out) / name) if Path(out).is_dir() or out.endswith("/") else out
    if keep and not location.endswith(name):
        raise ConfigError("--keep rotates backups whose names Handful makes", "give --out a folder")
    return location


def _report(manifest: Manifest, location: str, removed: list[str], seconds: float, *, as_json: bool) -> None:
    counts = manifest.counts
    for field in manifest.not_kept:
        say(f"not kept this way: {field}")
    for what, count in manifest.not_carried.items():
        say(f"not carried: {what}" + (f" ({count})" if count >= 0 else " (not counted)"))
    if manifest.unreadable:
        say(f"not read: {len(manifest.unreadable)} artifacts or folders of them, such as {manifest.unreadable[0]}")
    for name in removed:
        say(f"removed the old backup {name}")
    rows = ", ".join(counted(counts.get(table, 0), name) for table, name in _REPORTED.items())
    files = f"{counted(counts['artifacts'], 'artifact')} ({size(counts['artifact_bytes'])})"
    say(f"{location}: {rows}, {files}, in {seconds:.1f} s")
    if as_json:
        summary = manifest.model_dump(mode="json", exclude={"members", "inherited"})
        print_json({**summary, "file": location, "seconds": round(seconds, 2), "removed": removed})
