"""What the commands do with all models: reports on the newest rows, and one watch for each model."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from handful_core.errors import HandfulError
from handful_core.profile import LogRow
from handful_core.registry import Registry
from handful_core.registry.monitoring import MonitoringExperiments
from handful_core.review import ReviewStore
from handful_monitor.domain.verdict import State, Verdict
from handful_monitor.history import VerdictHistory
from handful_monitor.html import draw_report, find_evidently
from handful_monitor.judge import Judge, NewestRows
from handful_monitor.log import PredictionLog, spooled_models
from handful_monitor.settings import MonitorSettings
from handful_monitor.standing import Standing
from handful_monitor.traffic import TrafficCounter
from handful_monitor.watch import Watch

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the commands work with."""

    settings: MonitorSettings
    home: Path
    experiments: MonitoringExperiments
    registry: Registry
    judge: Judge
    reviews: ReviewStore

    def models(self, only: str | None) -> list[str]:
        """The model that was named, or all that have a log."""
        return [only] if only else sorted({*self.experiments.models(), *spooled_models(self.home)})


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """What a report is asked for.

    Attributes:
        version: only this one.
        source: only this one; "" stands for rows without a source.
        rows: of a window.
        days: older rows are left out.
        html: folder for Evidently's reports.
        keep: whether MLflow keeps the verdict.
    """

    version: str | None
    source: str | None
    rows: int
    days: int
    html: Path | None
    keep: bool


def report_on(model: str, request: ReportRequest, parts: Parts) -> Iterator[Verdict]:
    """The verdict on the newest rows of each stream of a model."""
    since = datetime.now(UTC) - timedelta(days=request.days)
    newest = NewestRows(model, 2 * request.rows, since)
    for segment in PredictionLog(model, parts.home, parts.experiments).segments(since):
        newest.add(segment.rows() or ())
    for stream, rows in newest.by_stream().items():
        if request.version not in {None, stream.version} or request.source not in {None, stream.source}:
            continue
        verdict = parts.judge.newest(stream, rows, request.rows)
        html = _html(verdict, rows[-request.rows :], request.html, parts) if request.html else None
        if request.keep:
            VerdictHistory(model, parts.experiments).keep_report(verdict, html)
        yield verdict


class Watches:
    """One watch for each model.

    Args:
        parts: what they work with.
        only: one model; None for all, those that come later as well.
        standing: hears of every verdict, if somebody wants to know.
        traffic: hears of every row, in the same way.
    """

    def __init__(
        self, parts: Parts, only: str | None, standing: Standing | None = None, traffic: TrafficCounter | None = None
    ) -> None:
        self._parts, self._only = parts, only
        self._standing, self._traffic = standing, traffic
        self._known: dict[str, Watch] = {}

    def now(self) -> list[Watch]:
        """Those of the models that there are now."""
        for model in self._parts.models(self._only):
            if model not in self._known:
                self._known[model] = self._make(model)
        return list(self._known.values())

    def _make(self, model: str) -> Watch:
        parts = self._parts
        log = PredictionLog(model, parts.home, parts.experiments)
        history = VerdictHistory(model, parts.experiments, self._standing)
        count = self._traffic.count if self._traffic else lambda _: None
        return Watch(model, log, history, parts.judge, parts.settings, self._report, count=count)

    def _report(self, verdict: Verdict, rows: Sequence[LogRow]) -> bytes | None:
        """A report of what has changed, where Evidently is installed."""
        python = find_evidently(self._parts.settings.evidently)
        accepted, _ = self._parts.judge.accepted(verdict.stream)
        if verdict.state is not State.CHANGED or python is None or accepted is None:
            return None
        try:
            return draw_report(python, accepted.profile, rows)
        except HandfulError as error:
            _log.warning("no report on %s: %s", verdict.stream, error)
            return None


def _html(verdict: Verdict, rows: Sequence[LogRow], folder: Path | None, parts: Parts) -> bytes | None:
    accepted, _ = parts.judge.accepted(verdict.stream)
    if folder is None or accepted is None or not rows:
        return None
    content = draw_report(find_evidently(parts.settings.evidently), accepted.profile, rows)
    folder.mkdir(parents=True, exist_ok=True)
    stream = verdict.stream
    name = "-".join(filter(None, (stream.model, stream.version, stream.source)))
    (folder / f"{re.sub(r'[^A-Za-z0-9._-]', '_', name)}.html").write_bytes(content)
    return content
