"""A backup against a server that is asked over REST: every field that REST keeps."""

from __future__ import annotations

from collections.abc import Iterator

from handful_backup.archive import BackupReader
from handful_backup.artifacts import Places
from handful_backup.holders import Holders
from handful_backup.increment import DIGESTS
from handful_backup.plan import Wish
from handful_backup.portable.importing import PortableImport
from handful_backup.portable.recognition import Known
from handful_backup.portable.source import RestSource
from handful_backup.progress import Progress
from handful_backup.selection import Rows
from handful_backup.verifying.fields import Fields, Side, Take
from handful_backup.verifying.files import compare_files
from handful_backup.verifying.report import Report
from handful_backup.verifying.seen import Values, seen
from handful_core.registry.rest import Rest


def verify_server(rest: Rest, places: Places, backup: BackupReader, progress: Progress, jobs: int) -> Report:
    """Look for all of a backup on a server."""
    with PortableImport(rest, places, backup, None, Wish(), progress, jobs) as importing:
        importing.plan()
        known = importing.recognition.known
    with RestSource(rest, jobs) as source, seen() as rows:
        report = Report("portable")
        expected, actual = Fields(Side.of(backup, known)), Fields(Side.of(source, None))
        for table, take in expected.by_table.items():
            wanted = progress.counted(table, _taken(backup, table, take))
            report.findings.append(rows.compare(table, wanted, _taken(source, table, actual.by_table[table])))
        runs = ((_id(known, row["run_uuid"]),) for row in backup.rows(DIGESTS))
        report.findings.append(rows.compare("run ids", runs, ((row["run_uuid"],) for row in source.rows("runs"))))
        uris = _uris(source)

    def find(kind: str, name: str) -> str | None:
        if kind == "runs":
            return uris.get((kind, _id(known, name)))
        found = known.models.get(f"version {name}" if kind == "versions" else name)
        return uris.get(("models", found.id)) if found else uris.get((kind, name))

    files = {**backup.manifest.inherited, **backup.artifacts}
    report.findings.append(compare_files(files, find, places, progress, jobs))
    return report


def _taken(rows: Rows, table: str, take: Take) -> Iterator[Values]:
    return (values for row in rows.rows(table) if (values := take(row)) is not None)


def _id(known: Known, run: str) -> str:
    return known.runs[run].id if run in known.runs else f"missing {run}"


def _uris(source: RestSource) -> dict[tuple[str, str], str]:
    holders = Holders()
    for table in source.tables:
        for row in source.rows(table) if holders.wants(table) else ():
            holders.see(table, row)
    return {(holder.kind, holder.id): holder.uri for holder in holders}
