"""From rows of a log to verdicts: rows by stream, then windows, then what came of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from handful_core.errors import HandfulError, UnavailableError
from handful_core.profile import LogRow
from handful_monitor.domain import LEAST_ROWS
from handful_monitor.domain.columns import Column
from handful_monitor.domain.histogram import histogram
from handful_monitor.domain.verdict import Stream, Verdict, decide
from handful_monitor.domain.window import Window
from handful_monitor.references import AcceptedVersion, References

_DIRECTION = re.compile(r"embedding_\d+")


def stream_of(row: LogRow) -> Stream:
    """Where a row comes from."""
    return Stream(row.model, row.version, row.source)


class NewestRows:
    """The newest rows of each stream, each once.

    Args:
        model: others are left out.
        most: rows of a stream that are kept.
        since: older rows are left out.
    """

    def __init__(self, model: str, most: int, since: datetime) -> None:
        self._model, self._most, self._since = model, most, since
        self._rows: dict[Stream, dict[str, LogRow]] = {}

    def add(self, rows: Iterable[LogRow]) -> None:
        """Take rows, in whatever order they come."""
        for row in rows:
            if row.model == self._model and row.at >= self._since:
                found = self._rows.setdefault(stream_of(row), {})
                found[row.id] = row
                if len(found) > 4 * self._most:
                    self._rows[stream_of(row)] = {kept.id: kept for kept in self._sorted(found)[-self._most :]}

    def by_stream(self) -> Mapping[Stream, Sequence[LogRow]]:
        """Rows in the order of time."""
        found = sorted(self._rows.items(), key=lambda item: (_number(item[0].version), item[0].source))
        return {stream: self._sorted(rows)[-self._most :] for stream, rows in found}

    @staticmethod
    def _sorted(rows: Mapping[str, LogRow]) -> list[LogRow]:
        return sorted(rows.values(), key=lambda row: (row.at, row.id))


class Judge:
    """Holds windows against what their version was accepted on.

    Args:
        references: of the versions.
    """

    def __init__(self, references: References) -> None:
        self._references = references

    def newest(self, stream: Stream, rows: Sequence[LogRow], size: int) -> Verdict:
        """The verdict on the newest window, for which the window before it is looked at as well.

        Args:
            stream: whose rows they are.
            rows: in the order of time.
            size: rows of a window.
        """
        accepted, why = self.accepted(stream)
        rows, notes = _of_package(rows, accepted)
        now, before = rows[-size:], rows[-2 * size : -size]
        # A shorter window before is better than none: half of what there is.
        if 2 * LEAST_ROWS <= len(rows) < 2 * size:
            half = len(rows) // 2
            before, now = rows[:half], rows[half:]
        differed: Collection[str] = ()
        if accepted and len(before) >= LEAST_ROWS:
            window = Window.of(before, accepted.reference.features)
            differed = {f.feature.name for f in accepted.reference.compare(window).features if f.differs}
        return self._decide(stream, now, accepted, differed, [*why, *notes])

    def next(self, stream: Stream, rows: Sequence[LogRow], differed: Collection[str]) -> Verdict:
        """The verdict on the window after one in which `differed` differed."""
        accepted, why = self.accepted(stream)
        rows, notes = _of_package(rows, accepted)
        return self._decide(stream, rows, accepted, differed, [*why, *notes])

    def accepted(self, stream: Stream) -> tuple[AcceptedVersion | None, list[str]]:
        """What the stream's version was accepted on; or why nothing is known of it."""
        try:
            return self._references.of(stream.model, stream.version), []
        except UnavailableError:
            raise
        except HandfulError as error:
            return None, [str(error)]

    def _decide(
        self,
        stream: Stream,
        rows: Sequence[LogRow],
        accepted: AcceptedVersion | None,
        differed: Collection[str],
        notes: Collection[str],
    ) -> Verdict:
        window = Window.of(rows, accepted.reference.features if accepted else ())
        comparison = accepted.reference.compare(window) if accepted else None
        verdict = decide(stream, window, comparison, differed, notes)
        return _with_histograms(verdict, accepted, window) if accepted else verdict


def _with_histograms(verdict: Verdict, accepted: AcceptedVersion, window: Window) -> Verdict:
    """The verdict with `histogram` in each feature, but for directions of an embedding: nobody can name them."""
    columns = accepted.profile.columns
    shown = [name for name in window.columns if not _DIRECTION.fullmatch(name)]
    features = [
        {**found, "histogram": histogram(Column.of(found["kind"], columns[name]), window.columns[name])}
        if (name := found["name"]) in shown
        else found
        for found in verdict.document["features"]
    ]
    return replace(verdict, document={**verdict.document, "features": features})


def _of_package(rows: Sequence[LogRow], accepted: AcceptedVersion | None) -> tuple[Sequence[LogRow], list[str]]:
    """Rows that the package has answered: a version's number can come again, with another model."""
    if accepted is None:
        return rows, []
    own = [row for row in rows if row.package == accepted.digest]
    other = len(rows) - len(own)
    return own, [f"{other} rows are left out: another package answered them under the same version"] if other else []


def _number(version: str) -> tuple[int, str]:
    return (int(version), "") if version.isdecimal() else (0, version)
