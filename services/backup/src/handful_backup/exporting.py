"""Export: tables first, then the artifacts that they name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol

from handful_backup import __version__
from handful_backup.archive import BackupWriter, Manifest
from handful_backup.archive.rows import encode_row
from handful_backup.artifacts import Places
from handful_backup.copying import Copying
from handful_backup.holders import Holders
from handful_backup.increment import DIGESTS, Base
from handful_backup.progress import Progress
from handful_backup.selection import Chosen, Selection, choose
from handful_backup.tables import INPUTS, input_run

_IDENTITY = ("runs", "params", "tags", "latest_metrics")
"""The tables that tell, with inputs and outputs, whether a run changed: nearly all that is logged moves one of them."""


class Source(Protocol):
    """A server that is read."""

    @property
    def way(self) -> Literal["exact", "portable"]:
        """How it is read."""

    @property
    def not_kept(self) -> Sequence[str]:
        """Fields that this way cannot see."""

    @property
    def revision(self) -> str:
        """The database schema's; empty where it is not seen."""

    @property
    def tables(self) -> Sequence[str]:
        """Their names, in the order in which rows need those before them."""

    def columns(self, table: str) -> list[str]:
        """A table's columns."""

    def rows(self, table: str) -> Iterator[dict[str, Any]]:
        """A table's rows, by column."""

    def plain_rows(self, name: str, chosen: Chosen | None) -> Iterator[Sequence[Any]]:
        """A table's rows, of the things that are wanted."""

    def not_carried(self) -> dict[str, int]:
        """What the server has and the export has not."""


def export(
    source: Source,
    places: Places,
    writer: BackupWriter,
    *,
    selection: Selection,
    base: Base | None,
    created: datetime,
    origin: Mapping[str, str],
    progress: Progress,
    jobs: int,
) -> Manifest:
    """Write all that is wanted of a server.

    Args:
        source: the server's rows.
        places: where its artifacts lie.
        writer: the backup.
        selection: what is wanted.
        base: the backup that this one adds to; None for a whole one.
        created: when the picture was taken.
        origin: for the manifest: where it was read from and MLflow's version.
        progress: shows how far it is.
        jobs: downloads at the same time.

    Returns:
        The manifest that was written.
    """
    chosen = choose(selection, source)
    digests = run_digests(source, chosen)
    carried = base.without_unchanged(source, chosen, digests) if base else chosen
    manifest = Manifest(
        way=source.way,
        created=created,
        handful_version=__version__,
        schema_revision=source.revision,
        selection=selection.as_json(),
        not_carried=source.not_carried(),
        not_kept=list(source.not_kept),
        base=base.id if base else "",
        source=origin["source"],
        mlflow_version=origin["mlflow_version"],
    )
    holders = Holders()
    for table in source.tables:
        # Of things with artifacts, those that an incremental backup leaves out are looked at as well.
        for row in source.rows(table) if holders.wants(table) else ():
            if chosen is None or chosen.takes(table, row):
                holders.see(table, row)
        rows = progress.counted(table, source.plain_rows(table, carried))
        manifest.counts[table] = writer.table(table, source.columns(table), rows)
    writer.table(DIGESTS, ["run_uuid", "digest"], sorted(digests.items()))
    _copy(holders, places, writer, manifest, base, progress, jobs)
    writer.finish(manifest)
    return manifest.model_copy(update={"members": writer.members})


def run_digests(source: Source, chosen: Chosen | None) -> dict[str, str]:
    """A hash of each run that changes when something is logged to it; the order of rows does not matter."""
    sums: dict[str, int] = {}
    for table, run, row in _of_runs(source, chosen):
        digest = hashlib.blake2b(encode_row([table, *row]), digest_size=16).digest()
        sums[run] = (sums.get(run, 0) + int.from_bytes(digest)) % (1 << 128)
    return {run: f"{value:032x}" for run, value in sums.items()}


def _of_runs(source: Source, chosen: Chosen | None) -> Iterator[tuple[str, str, Sequence[Any]]]:
    """Rows of runs, each with its table and its run."""
    runs = set()
    for table in _IDENTITY:
        at = source.columns(table).index("run_uuid")
        for row in source.plain_rows(table, chosen):
            runs.add(row[at])
            yield table, row[at], row
    names = source.columns(INPUTS) if INPUTS in source.tables else []
    for row in source.plain_rows(INPUTS, chosen) if names else ():
        run = input_run(dict(zip(names, row, strict=True)))
        if run in runs:  # Other things have inputs as well.
            yield INPUTS, run, row


def _copy(
    holders: Holders,
    places: Places,
    writer: BackupWriter,
    manifest: Manifest,
    base: Base | None,
    progress: Progress,
    jobs: int,
) -> None:
    copying = Copying(places, writer, progress, jobs)
    copying.run(holders, base)
    manifest.inherited = copying.inherited
    manifest.unreadable = copying.unreadable
    manifest.counts["artifacts"] = copying.files
    manifest.counts["artifact_bytes"] = copying.size
