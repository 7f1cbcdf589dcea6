"""What is known now: every stream's newest verdict and those before, how rounds went, and what still gathers.

One thread judges and writes here, others read: what they get does not change under their hands.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from handful_monitor.domain.verdict import State, Stream

_Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class RunReference:
    """Where MLflow keeps something."""

    experiment_id: str
    run_id: str


@dataclass(frozen=True, slots=True)
class PastVerdict:
    """A verdict in short, for the history.

    Attributes:
        at: when it was given.
        changed: names of the features that had changed.
        rows: of its window.
    """

    at: datetime
    state: State
    changed: tuple[str, ...]
    rows: int


@dataclass(frozen=True, slots=True)
class StandingVerdict:
    """The newest verdict on a stream.

    Attributes:
        at: when it was given.
        document: `verdict.json`.
        run: where MLflow keeps it.
        report: where MLflow keeps Evidently's newest report, if there is one.
    """

    stream: Stream
    at: datetime
    document: Mapping[str, Any]
    run: RunReference
    report: RunReference | None = None


@dataclass(frozen=True, slots=True)
class KnownStream:
    """All that is known of a stream; `history` has the newest verdict last."""

    newest: StandingVerdict
    history: tuple[PastVerdict, ...]


@dataclass(frozen=True, slots=True)
class Rounds:
    """How the rounds went.

    Attributes:
        ok: how many did all that was to do.
        failed: how many did not.
        last: when the last one ended.
        last_ok: when the last one that was ok ended.
        mlflow_up: whether MLflow answered in the last one; None before the first has ended.
        failure: why the last one failed; empty if it did not.
    """

    ok: int = 0
    failed: int = 0
    last: datetime | None = None
    last_ok: datetime | None = None
    mlflow_up: bool | None = None
    failure: str = ""


@dataclass(slots=True)
class _Known:
    newest: StandingVerdict | None = None
    history: dict[datetime, PastVerdict] = field(default_factory=dict)
    report: RunReference | None = None


class Standing:
    """What is known now.

    Args:
        days: older verdicts are forgotten.
        clock: the time of day.
    """

    def __init__(self, days: int, clock: _Clock = lambda: datetime.now(UTC)) -> None:
        self._age, self._clock = timedelta(days=days), clock
        self._lock = threading.Lock()
        self._known: dict[Stream, _Known] = {}
        self._restored: dict[Stream, _Known] = {}
        self._gathering: dict[str, Mapping[Stream, int]] = {}
        self._rounds = Rounds()

    def keep(self, stream: Stream, at: datetime, document: Mapping[str, Any], run: RunReference) -> None:
        """A verdict that was given, now or before this process began. Twice is the same as once."""
        changed = tuple(f["name"] for f in document["features"] if f["changed"])
        past = PastVerdict(at, State(document["verdict"]), changed, document["window"]["rows"])
        with self._lock:
            known = self._known.setdefault(stream, _Known())
            known.history[at] = past
            if known.newest is None or at >= known.newest.at:
                known.newest = StandingVerdict(stream, at, document, run)

    def keep_report(self, stream: Stream, run: RunReference) -> None:
        """Evidently has drawn a report of a stream."""
        with self._lock:
            self._known.setdefault(stream, _Known()).report = run

    def restore(self, streams: Iterable[KnownStream]) -> None:
        """Know what stood before this process began, until MLflow has been asked for all: half of it would mislead."""
        with self._lock:
            for one in streams:
                history = {past.at: past for past in one.history}
                self._restored[one.newest.stream] = _Known(one.newest, history, one.newest.report)

    def known(self) -> list[KnownStream]:
        """All that is known of each stream."""
        return [KnownStream(newest, tuple(self.history(newest.stream))) for newest in self.newest()]

    def _of(self, stream: Stream) -> _Known:
        """What was restored, while MLflow has not said anything newer."""
        known, restored = self._known.get(stream) or _Known(), self._restored.get(stream)
        if restored is None or restored.newest is None:
            return known
        return restored if known.newest is None or known.newest.at < restored.newest.at else known

    def gather(self, model: str, rows: Mapping[Stream, int]) -> None:
        """So many rows of a model's streams wait for a verdict."""
        with self._lock:
            self._gathering[model] = dict(rows)

    def end_round(self, failure: str = "", *, mlflow_up: bool = True) -> None:
        """A round ended.

        Args:
            failure: why it did not do all that was to do; empty if it did.
            mlflow_up: whether MLflow answered.
        """
        now = self._clock()
        with self._lock:
            if not failure:
                self._restored.clear()
            before = self._rounds
            self._rounds = Rounds(
                before.ok + (not failure), before.failed + bool(failure), now,
                before.last_ok if failure else now, mlflow_up, failure,
            )  # fmt: skip

    @property
    def rounds(self) -> Rounds:
        """How the rounds went."""
        return self._rounds

    def newest(self) -> list[StandingVerdict]:
        """The newest verdict of each stream that has had one within the days, in a fixed order."""
        since = self._clock() - self._age
        with self._lock:
            found = [
                StandingVerdict(each.stream, each.at, each.document, each.run, known.report)
                for known in map(self._of, {**self._known, **self._restored})
                if (each := known.newest) is not None and each.at >= since
            ]
        return sorted(found, key=lambda one: _order(one.stream))

    def history(self, stream: Stream) -> list[PastVerdict]:
        """A stream's verdicts of the days, the newest last."""
        since = self._clock() - self._age
        with self._lock:
            known = self._of(stream)
            known.history = {at: past for at, past in known.history.items() if at >= since}
            return sorted(known.history.values(), key=lambda past: past.at)

    def gathering(self) -> list[tuple[Stream, int]]:
        """Streams with rows that wait for a verdict, and how many."""
        with self._lock:
            found = {stream: rows for each in self._gathering.values() for stream, rows in each.items() if rows}
        return sorted(found.items(), key=lambda item: _order(item[0]))


def _order(stream: Stream) -> tuple[str, int, str, str]:
    """By model, the newest version first, then by source."""
    return stream.model, -int(stream.version) if stream.version.isdecimal() else 0, stream.version, stream.source
