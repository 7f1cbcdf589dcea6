"""Export: tables first, then the artifacts that they name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from handful_backup.archive import BackupWriter, Manifest
from handful_backup.archive.rows import encode_canonically
from handful_backup.artifact_export import ArtifactExport
from handful_backup.artifact_folders import ArtifactFolders
from handful_backup.artifacts import StoreResolver
from handful_backup.increment import DIGESTS, BaseBackup
from handful_backup.progress import Progress
from handful_backup.selection import SelectedItems, Selection, select
from handful_backup.tables import INPUTS, input_run
from handful_core import __version__

_DIGESTED = ("runs", "params", "tags", "latest_metrics")
"""The tables that tell, with inputs and outputs, whether a run changed: nearly all that is logged changes one of them.
The whole history of metrics is left out: reading it takes longer than all the rest."""


class Source(Protocol):
    """A server that is read."""

    @property
    def mode(self) -> Literal["exact", "portable"]:
        """How it is read, in the words of the manifest."""

    @property
    def not_kept(self) -> Sequence[str]:
        """Fields that this mode cannot see."""

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

    def row_values(self, name: str, selected: SelectedItems | None) -> Iterator[Sequence[Any]]:
        """The values of a table's rows, in the order of the columns.

        Args:
            name: the table's.
            selected: what is wanted; None for all.
        """

    def not_carried(self) -> dict[str, int]:
        """What the server has and the export has not."""


@dataclass(frozen=True, slots=True)
class ExportJob:
    """What is exported, and how.

    Attributes:
        selection: what is wanted.
        base: the backup that this one adds to; None for a whole one.
        created: when the server was read.
        origin: where it was read from, without a password.
        mlflow_version: empty if the server does not answer.
        jobs: downloads at the same time.
    """

    selection: Selection
    base: BaseBackup | None
    created: datetime
    origin: str
    mlflow_version: str
    jobs: int


def export_backup(
    source: Source, stores: StoreResolver, writer: BackupWriter, job: ExportJob, progress: Progress
) -> Manifest:
    """Write what is wanted of a server.

    Args:
        source: the server's rows.
        stores: where its artifacts are.
        writer: the backup.
        job: what is wanted.
        progress: shows how far it is.

    Returns:
        The manifest that was written.
    """
    selected = select(job.selection, source)
    digests = run_digests(source, selected)
    carried = job.base.without_unchanged(source, selected, digests) if job.base else selected
    manifest = _manifest(source, job)
    for table in source.tables:
        rows = progress.counted(table, source.row_values(table, carried))
        manifest.counts[table] = writer.table(table, source.columns(table), rows)
    writer.table(DIGESTS, ["run_uuid", "digest"], sorted(digests.items()))
    artifacts = ArtifactExport(stores, writer, progress, job.jobs)
    # Of all that is wanted: a run that did not change may be left out, and yet a file of it have changed.
    artifacts.run(ArtifactFolders.of(source, selected), job.base)
    manifest.inherited = artifacts.inherited
    manifest.unreadable = artifacts.unreadable
    manifest.counts["artifacts"] = artifacts.files
    manifest.counts["artifact_bytes"] = artifacts.size
    writer.finish(manifest)
    return manifest.model_copy(update={"members": writer.members})


def _manifest(source: Source, job: ExportJob) -> Manifest:
    return Manifest(
        way=source.mode,
        created=job.created,
        handful_version=__version__,
        schema_revision=source.revision,
        selection=job.selection.as_json(),
        not_carried=source.not_carried(),
        not_kept=list(source.not_kept),
        base=job.base.id if job.base else "",
        source=job.origin,
        mlflow_version=job.mlflow_version,
    )


def run_digests(source: Source, selected: SelectedItems | None) -> dict[str, str]:
    """A hash of each run, which changes when something is logged to it.

    Hashes of its rows are added up, so that their order does not matter: no database promises one.
    """
    sums: dict[str, int] = {}
    for table, run, row in _rows_of_runs(source, selected):
        digest = hashlib.blake2b(encode_canonically([table, *row]), digest_size=16).digest()
        sums[run] = (sums.get(run, 0) + int.from_bytes(digest)) % (1 << 128)
    return {run: f"{value:032x}" for run, value in sums.items()}


def _rows_of_runs(source: Source, selected: SelectedItems | None) -> Iterator[tuple[str, str, Sequence[Any]]]:
    """Rows of runs, each with its table and its run."""
    runs = set()
    for table in _DIGESTED:
        column = source.columns(table).index("run_uuid")
        for row in source.row_values(table, selected):
            runs.add(row[column])
            yield table, row[column], row
    names = source.columns(INPUTS) if INPUTS in source.tables else []
    for row in source.row_values(INPUTS, selected) if names else ():
        run = input_run(dict(zip(names, row, strict=True)))
        if run in runs:  # Other things have inputs as well.
            yield INPUTS, run, row
