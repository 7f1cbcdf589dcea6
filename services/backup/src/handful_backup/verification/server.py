"""A backup against a server that is asked over REST: every field that REST keeps."""

from __future__ import annotations

from collections.abc import Iterator

from handful_backup.archive import BackupReader
from handful_backup.artifact_folders import ArtifactFolders
from handful_backup.artifacts import StoreResolver
from handful_backup.compared_fields import ComparedFields, ComparedSide, FieldReader, Values
from handful_backup.increment import DIGESTS
from handful_backup.plan import ImportJob
from handful_backup.portable.importer import RestImport
from handful_backup.portable.server_state import ServerState
from handful_backup.portable.source import RestSource
from handful_backup.progress import Progress
from handful_backup.selection import Rows
from handful_backup.verification.report import Report, compare_artifacts, row_set
from handful_core.registry.rest import Rest


def verify_server(rest: Rest, stores: StoreResolver, backup: BackupReader, progress: Progress, jobs: int) -> Report:
    """Look for all of a backup on a server."""
    # An import's plan knows the server's id of each thing.
    with RestImport(rest, stores, ImportJob(backup, jobs), progress) as planned:
        planned.find()
        state = planned.state
    with RestSource(rest, jobs) as source, row_set() as rows:
        report = Report("portable")
        expected, actual = ComparedFields(ComparedSide.of(backup, state)), ComparedFields(ComparedSide.of(source, None))
        for table, reader in expected.readers.items():
            wanted = progress.counted(table, _values(backup, table, reader))
            report.findings.append(rows.compare(table, wanted, _values(source, table, actual.readers[table])))
        named = expected.named_versions(backup), actual.named_versions(source)
        report.findings.append(rows.compare("versions of logged models", *named))
        runs = ((_run_id(state, row["run_uuid"]),) for row in backup.rows(DIGESTS))
        report.findings.append(rows.compare("run ids", runs, ((row["run_uuid"],) for row in source.rows("runs"))))
        uris = ArtifactFolders.of(source).uris()

    def find(kind: str, name: str) -> str | None:
        if kind == "runs":
            return uris.get((kind, _run_id(state, name)))
        found = state.models.get(f"version {name}" if kind == "versions" else name)
        return uris.get(("models", found.id)) if found else uris.get((kind, name))

    files = {**backup.manifest.inherited, **backup.artifacts}
    report.findings.append(compare_artifacts(files, find, stores, progress, jobs))
    return report


def _values(rows: Rows, table: str, reader: FieldReader) -> Iterator[Values]:
    return (values for row in rows.rows(table) if (values := reader(row)) is not None)


def _run_id(state: ServerState, run: str) -> str:
    return state.runs[run].id if run in state.runs else f"missing {run}"
