"""`handful import`."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from handful_backup.archive import BackupReader
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
)
from handful_backup.importing import bring
from handful_backup.leftovers import remove_forgotten_work
from handful_backup.plan import Plan, Wish
from handful_backup.progress import Progress
from handful_backup.selection import Selection, choose
from handful_backup.ways import Way, server
from handful_core.console import print_json, print_table, say
from handful_core.settings import CoreSettings, load

Backup = Annotated[str, typer.Argument(metavar="BACKUP", help="A file, s3://BUCKET/KEY, or - for standard input.")]


def restore(
    backup: Backup,
    experiment: Experiments = None,
    model: Models = None,
    newer_than: Newer = "",
    older_than: Older = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what exists by what the backup has.")] = False,
    rename_prefix: Annotated[
        str, typer.Option("--rename-prefix", help="Make copies: put this before names of experiments and models.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and write nothing.")] = False,
    way: ChosenWay = Way.AUTO,
    database: Database = "",
    artifacts: Artifacts = "",
    passphrase_file: PassphraseFile = None,
    jobs: Jobs = 0,
    as_json: AsJson = False,
) -> None:
    """Bring a backup back: what exists is left as it is."""
    started = time.monotonic()
    remove_forgotten_work()
    settings = settings_with(database, artifacts, passphrase_file, jobs)
    selection = Selection(tuple(experiment or ()), tuple(model or ()), newer_than, older_than)
    with fetched(backup, settings) as path, BackupReader(path, passphrase(settings)) as reader:
        with Progress() as progress:
            progress.bytes("checking", sum(member.size for member in reader.manifest.members.values()))
            reader.check(progress.advance)
        chosen = choose(selection, reader)
        with server(load(CoreSettings), settings, way) as found:
            plan = bring(found, reader, chosen, Wish(overwrite, rename_prefix), way, dry=dry_run, jobs=settings.jobs)
    _report(plan, backup, time.monotonic() - started, dry=dry_run, as_json=as_json)


def _report(plan: Plan, backup: str, seconds: float, *, dry: bool, as_json: bool) -> None:
    if as_json:
        print_json({**plan.as_json(), "dry_run": dry, "seconds": round(seconds, 2)})
        return
    if plan.nothing_to_do and not dry:
        say(f"{backup}: all of it is there already, nothing to do")
        return
    for note in plan.notes:
        say(note)
    title = "What an import would do" if dry else f"Imported in {seconds:.1f} s"
    print_table(title, ("", "new", "changed", "there already"), plan.table())
