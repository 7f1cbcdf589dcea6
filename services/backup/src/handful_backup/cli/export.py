"""`handful export`."""

from __future__ import annotations

import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from handful_backup.archive import BackupReader, BackupWriter, Manifest
from handful_backup.cli.fetch import fetched
from handful_backup.cli.options import (
    Artifacts,
    AsJson,
    ChosenWay,
    Database,
    Experiments,
    Jobs,
    Models,
    Newer,
    Older,
    PassphraseFile,
    passphrase,
    settings_with,
    strong,
)
from handful_backup.exact.source import DatabaseSource
from handful_backup.exporting import Source
from handful_backup.exporting import export as write_export
from handful_backup.increment import Base
from handful_backup.leftovers import remove_forgotten_work
from handful_backup.output import STDOUT, output
from handful_backup.portable.source import RestSource
from handful_backup.progress import Progress, size
from handful_backup.rotation import file_name, rotate
from handful_backup.selection import Selection
from handful_backup.settings import BackupSettings
from handful_backup.ways import Server, Way, server
from handful_core.console import print_json, say
from handful_core.errors import ConfigError
from handful_core.settings import CoreSettings, load

Out = Annotated[
    str, typer.Option("--out", help="A file, a folder (its name is made), s3://BUCKET/PATH, or - for standard output.")
]


_TOLD = {"experiments": "experiments", "runs": "runs", "metrics": "metric points", "model_versions": "versions"}


def export(
    out: Out = ".",
    experiment: Experiments = None,
    model: Models = None,
    newer_than: Newer = "",
    older_than: Older = "",
    since: Annotated[str, typer.Option("--since", help="Only what changed since this backup.")] = "",
    keep: Annotated[int, typer.Option("--keep", help="Remove all but the newest backups in the folder.", min=0)] = 0,
    way: ChosenWay = Way.AUTO,
    database: Database = "",
    artifacts: Artifacts = "",
    passphrase_file: PassphraseFile = None,
    jobs: Jobs = 0,
    as_json: AsJson = False,
) -> None:
    """Write all of an MLflow server into one ZIP file."""
    if as_json and out == STDOUT:
        raise ConfigError("standard output takes the backup or the JSON", "leave --json out, or name a file")
    started = time.monotonic()
    remove_forgotten_work()
    settings = settings_with(database, artifacts, passphrase_file, jobs)
    secret = strong(passphrase(settings))
    selection = Selection(tuple(experiment or ()), tuple(model or ()), newer_than, older_than)
    with ExitStack() as stack:
        base = _base(stack, since, settings)
        found = stack.enter_context(server(load(CoreSettings), settings, way))
        say(found.why)
        created = datetime.now(UTC)
        source = _source(stack, found, settings.jobs)
        target = _target(out, created, base, keep)
        with output(target, settings) as stream, BackupWriter(stream, secret) as writer, Progress() as progress:
            manifest = write_export(
                source,
                found.places,
                writer,
                selection=selection,
                base=base,
                created=created,
                origin={"source": found.shown, "mlflow_version": found.version()},
                progress=progress,
                jobs=settings.jobs,
            )
    removed = rotate(target, keep, settings) if keep else []
    _report(manifest, target, removed, time.monotonic() - started, as_json=as_json)


def _base(stack: ExitStack, since: str, settings: BackupSettings) -> Base | None:
    if not since:
        return None
    path = stack.enter_context(fetched(since, settings))
    return Base(stack.enter_context(BackupReader(path, passphrase(settings))))


def _source(stack: ExitStack, found: Server, jobs: int) -> Source:
    if found.database is not None:
        return DatabaseSource(stack.enter_context(found.database.snapshot()))
    return stack.enter_context(RestSource(found.rest, jobs))


def _target(out: str, created: datetime, base: Base | None, keep: int) -> str:
    """The file's name; made here for a folder, so that backups can be told apart and rotated."""
    name = file_name(created, base.created if base else None)
    if out.startswith("s3://"):
        target = out if out.endswith(".zip") else f"{out.rstrip('/')}/{name}"
    elif out == STDOUT:
        target = out
    else:
        target = str(Path(out) / name) if Path(out).is_dir() or out.endswith("/") else out
    if keep and not target.endswith(name):
        raise ConfigError("--keep rotates backups whose names Handful makes", "give --out a folder")
    return target


def _report(manifest: Manifest, target: str, removed: list[str], seconds: float, *, as_json: bool) -> None:
    counts = manifest.counts
    for field in manifest.not_kept:
        say(f"not kept this way: {field}")
    for what, count in manifest.not_carried.items():
        say(f"not carried: {what}" + (f" ({count})" if count >= 0 else " (not counted)"))
    if manifest.unreadable:
        say(f"not read: {len(manifest.unreadable)} artifacts or folders of them, such as {manifest.unreadable[0]}")
    for name in removed:
        say(f"removed the old backup {name}")
    things = (
        ("experiments", "experiments"),
        ("runs", "runs"),
        ("metrics", "metric points"),
        ("model_versions", "versions"),
    )
    words = ", ".join(f"{counts.get(table, 0):,} {word}" for table, word in things)
    files = f"{counts['artifacts']:,} artifacts ({size(counts['artifact_bytes'])})"
    say(f"{target}: {words}, {files}, in {seconds:.1f} s")
    if as_json:
        summary = manifest.model_dump(mode="json", exclude={"members", "inherited"})
        print_json({**summary, "file": target, "seconds": round(seconds, 2), "removed": removed})
