"""`handful monitor watch`: each segment is judged once for each of its streams, whatever is killed meanwhile."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from handful_core.errors import HandfulError, ResourceError, UnavailableError
from handful_core.profile import LogRow
from handful_monitor.domain.verdict import State, Stream, Verdict
from handful_monitor.history import VerdictHistory
from handful_monitor.judge import Judge, stream_of
from handful_monitor.log import PredictionLog
from handful_monitor.settings import MonitorSettings

Report = Callable[[Verdict, Sequence[LogRow]], bytes | None]
Count = Callable[[Iterable[LogRow]], None]
_log = logging.getLogger(__name__)
_FIRST_PAUSE = 1.0
"""Seconds after a round that failed: MLflow may be starting beside the monitor."""


@dataclass(slots=True)
class _StreamState:
    """What is known of a stream between two passes."""

    judged: set[str] = field(default_factory=set)
    """Segments whose rows of this stream are in a verdict."""
    differed: tuple[str, ...] = ()
    """Features that differed in the newest window."""
    pending: dict[str, tuple[str, LogRow]] = field(default_factory=dict)
    """By id: rows that no verdict has judged, with their segments."""
    last: float = float("-inf")
    """When the newest verdict was made, by this process's steady clock."""


class Watch:
    """Judges what has come since the last verdict.

    Args:
        model: its name.
        log: its segments.
        history: where verdicts are kept.
        judge: who compares.
        settings: how large windows are.
        report: draws a report of a verdict and its rows, or gives None.
        clock: seconds that no change of the time of day disturbs.
        count: hears of each row once.
    """

    def __init__(
        self,
        model: str,
        log: PredictionLog,
        history: VerdictHistory,
        judge: Judge,
        settings: MonitorSettings,
        report: Report = lambda *_: None,
        clock: Callable[[], float] = time.monotonic,
        count: Count = lambda _: None,
    ) -> None:
        self._model, self._log, self._history, self._judge = model, log, history, judge
        self._settings, self._report, self._clock, self._count = settings, report, clock, count
        self._states: dict[Stream, _StreamState] = {}
        self._read: set[str] = set()
        self._ids: set[str] = set()
        self._remembers = False
        self._too_old: set[str] = set()
        """Segments with rows that were left out for their age."""
        self._since = datetime.min.replace(tzinfo=UTC)

    def once(self) -> Iterator[Verdict]:
        """Read what is new and give each stream whose window is full its verdict.

        Raises:
            UnavailableError: MLflow does not answer; nothing is lost, the next pass goes on.
        """
        since = datetime.now(UTC) - timedelta(days=self._settings.days)
        if since < self._since:
            # The clock was ahead: what was too old by it is not, and was perhaps judged.
            self._read -= self._too_old
            self._too_old.clear()
            self._remembers = False
        self._since = since
        if not self._remembers:
            self._remember(since)
        self._collect(since)
        self._log.forget(since)
        for stream, state in sorted(self._states.items(), key=lambda item: str(item[0])):
            waited = self._clock() - state.last >= 60 * self._settings.minutes
            if len(state.pending) >= self._settings.rows and waited:
                yield self._conclude(stream, state)

    @property
    def model(self) -> str:
        """Whose rows it judges."""
        return self._model

    def gathering(self) -> Mapping[Stream, int]:
        """How many rows of each stream wait for a verdict."""
        return {stream: len(state.pending) for stream, state in self._states.items()}

    def _remember(self, since: datetime) -> None:
        """What was judged before this process began."""
        for stream, document in self._history.all(since):
            state = self._states.setdefault(stream, _StreamState())
            state.judged |= set(document.get("segments", ()))
            if document["verdict"] != State.TOO_FEW.value:
                state.differed = tuple(f["name"] for f in document["features"] if f["differs"])
            state.pending = {id_: found for id_, found in state.pending.items() if found[0] not in state.judged}
        self._remembers = True

    def _collect(self, since: datetime) -> None:
        for segment in self._log.segments(since):
            if segment.name in self._read:
                continue
            rows = segment.rows()
            if rows is None:
                continue
            new = []
            for row in rows:
                state = self._states.setdefault(stream_of(row), _StreamState())
                if row.at < since:
                    self._too_old.add(segment.name)
                if row.model != self._model or row.at < since or row.id in self._ids:
                    continue
                self._ids.add(row.id)
                new.append(row)
                if segment.name not in state.judged:
                    state.pending[row.id] = (segment.name, row)
            self._count(new)
            self._read.add(segment.name)

    def _conclude(self, stream: Stream, state: _StreamState) -> Verdict:
        segments = sorted({segment for segment, _ in state.pending.values()})
        rows = [row for _, row in state.pending.values()]
        verdict = self._judge.next(stream, rows, state.differed)
        try:
            self._history.add(verdict, segments)
        except HandfulError:
            # It may be there all the same, its answer alone was lost: ask before the next one.
            self._remembers = False
            raise
        state.judged |= set(segments)
        state.pending.clear()
        state.last = self._clock()
        if verdict.state is not State.TOO_FEW:
            state.differed = verdict.differing
        try:
            self._history.publish(verdict, self._report(verdict, rows))
        except HandfulError as error:
            _log.warning("the verdict on %s is kept, but not shown in MLflow: %s", stream, error)
        return verdict


def watch(
    watches: Callable[[], list[Watch]],
    tell: Callable[[Verdict], None],
    seconds: float,
    ended: Callable[[HandfulError | None, list[Watch]], None] = lambda *_: None,
    wait: Callable[[float], object] = time.sleep,
) -> None:
    """Go round until `wait` gives something true.

    Args:
        watches: the models that there are now.
        tell: what to do with a verdict.
        seconds: between two rounds. After one that failed the next comes within a second, then ever
            later, up to this.
        ended: hears of each round what went wrong in it, and whom it was about.
        wait: waits so many seconds.
    """
    soon = _FIRST_PAUSE
    while True:
        retry_after = min(soon, seconds)
        failure, there = _go_round(watches, tell, retry_after)
        ended(failure, there)
        soon = 2 * soon if failure else _FIRST_PAUSE
        if wait(retry_after if failure else seconds):
            return


def _go_round(
    watches: Callable[[], list[Watch]], tell: Callable[[Verdict], None], retry_after: float
) -> tuple[HandfulError | None, list[Watch]]:
    failure: HandfulError | None = None
    there: list[Watch] = []
    try:
        there = watches()
        for one in there:
            try:
                for verdict in one.once():
                    tell(verdict)
            except UnavailableError:
                raise
            except HandfulError as error:  # It is this model's: the others go on.
                _log.error("%s: %s", one.model, error)
                failure = error
            except OSError as error:
                failure = ResourceError(
                    f"{error.filename or 'the disk'} cannot be used ({error.strerror})",
                    "free disk space, or correct its permissions",
                )
                _log.error("%s: %s", one.model, failure)
    except HandfulError as error:
        _log.warning("%s: trying again in %.0f s", error, retry_after)
        failure = error
    return failure, there
