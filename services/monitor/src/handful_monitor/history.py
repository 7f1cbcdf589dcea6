"""Verdicts in MLflow: what was said before, and which segments it was about.

A run of the model's experiment for each stream and day, with `verdicts/<time>.json` for each verdict, `verdict.json`
and perhaps `report.html` of the newest one, and how each feature went as metrics.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from handful_core.errors import RefusedError
from handful_core.registry.monitoring import DAY, KIND, MonitoringExperiments, MonitoringRun
from handful_monitor.domain.verdict import State, Stream, Verdict
from handful_monitor.standing import RunReference, Standing

_VERDICTS, _REPORTS = {KIND: "verdict"}, {KIND: "monitor-report"}
_VERSION, _SOURCE, _VERDICT = "handful.version", "handful.source", "handful.verdict"
_REPORT = "handful.report"
"""Tag of a run that has a report."""
_FOLDER = "verdicts"
REPORT, VERDICT = "report.html", "verdict.json"
_TIME = "%Y%m%dT%H%M%S%fZ"
_UNSAFE = re.compile(r"[^\w\-. /]")
_STATES = {State.TOO_FEW: -1.0, State.STEADY: 0.0, State.CHANGED: 1.0}


class VerdictHistory:
    """The verdicts on one model.

    Args:
        model: its name.
        experiments: of MLflow.
        standing: hears of every verdict that is read or kept; None if nobody wants to know.
    """

    def __init__(self, model: str, experiments: MonitoringExperiments, standing: Standing | None = None) -> None:
        self._model = model
        self._experiments = experiments
        self._standing = standing
        self._known: set[tuple[str, str]] = set()
        """Runs and names of verdicts that this process has read or kept."""

    def newest(self, since: datetime) -> Mapping[Stream, Mapping[str, Any]]:
        """The newest verdict of each stream, as JSON."""
        found: dict[Stream, Mapping[str, Any]] = {}
        for run in reversed(list(self._runs(since))):
            stream = self._stream(run)
            if stream not in found and (names := run.files(_FOLDER)):
                found[stream] = json.loads(run.read(f"{_FOLDER}/{names[-1]}"))
        return found

    def all(self, since: datetime) -> Iterator[tuple[Stream, Mapping[str, Any]]]:
        """Every verdict, those of a stream in the order of time."""
        for run in self._runs(since):
            for name in run.files(_FOLDER):
                document = json.loads(run.read(f"{_FOLDER}/{name}"))
                self._known.add((run.id, name))
                self._tell(run, name, document)
                yield self._stream(run), document
            if self._standing is not None and _REPORT in run.tags:
                self._standing.keep_report(self._stream(run), _reference(run))

    def add(self, verdict: Verdict, segments: Sequence[str]) -> None:
        """Keep a verdict: one file, in one step, says what it is and which segments it is about.

        Args:
            verdict: what was said.
            segments: whose rows it judged: they are never judged again.

        Raises:
            RefusedError: somebody else keeps verdicts on this stream; nothing was kept.
        """
        now = datetime.now(UTC)
        self._refuse_others(verdict.stream, now)
        run = self._run_of_today(verdict.stream, now)
        content = json.dumps({**verdict.document, "segments": list(segments)}, indent=1, ensure_ascii=False).encode()
        name = f"{now:{_TIME}}-{secrets.token_hex(3)}.json"
        run.upload(f"{_FOLDER}/{name}", content)
        self._known.add((run.id, name))
        try:
            # Of two at the same moment, the later one sees the other's here.
            self._refuse_others(verdict.stream, now)
        except RefusedError:
            run.remove(f"{_FOLDER}/{name}")
            raise
        self._tell(run, name, verdict.document)

    def _refuse_others(self, stream: Stream, now: datetime) -> None:
        """Refuse if there are verdicts that this process neither read nor kept."""
        for run in self._runs(now - timedelta(days=1)):
            if self._stream(run) == stream and any((run.id, name) not in self._known for name in run.files(_FOLDER)):
                raise RefusedError(
                    f"another `handful monitor watch` judges {stream}: this one keeps no verdict of its own",
                    "run one for each MLflow",
                )

    def keep_report(self, verdict: Verdict, html: bytes | None) -> None:
        """Keep a verdict that somebody asked for: a run of its own, which `watch` does not count."""
        stream = verdict.stream
        tags = {**_REPORTS, _VERSION: stream.version, _SOURCE: stream.source, _VERDICT: verdict.state.value}
        name = " ".join(filter(None, ("report", f"version {stream.version}", stream.source)))
        run = self._experiments.create(self._model, name, tags)
        self._show(run, verdict, html)
        run.end()

    def publish(self, verdict: Verdict, html: bytes | None = None) -> None:
        """Show a verdict in MLflow's page: `verdict.json`, metrics, and a report if there is one."""
        run = self._run_of_today(verdict.stream, datetime.now(UTC))
        self._show(run, verdict, html)
        if self._standing is not None and html is not None:
            self._standing.keep_report(verdict.stream, _reference(run))

    def _tell(self, run: MonitoringRun, name: str, document: Mapping[str, Any]) -> None:
        if self._standing is not None:
            at = datetime.strptime(re.split(r"[-.]", name)[0], _TIME).replace(tzinfo=UTC)
            self._standing.keep(self._stream(run), at, document, _reference(run))

    def _show(self, run: MonitoringRun, verdict: Verdict, html: bytes | None) -> None:
        run.upload(VERDICT, json.dumps(verdict.document, indent=1, ensure_ascii=False).encode())
        if html is not None:
            run.upload(REPORT, html)
        tags = {_VERDICT: verdict.state.value} | ({_REPORT: REPORT} if html is not None else {})
        run.log(_metrics(verdict), tags)

    def _run_of_today(self, stream: Stream, now: datetime) -> MonitoringRun:
        day = now.date().isoformat()
        for run in self._experiments.runs(self._model, {**_VERDICTS, DAY: day}):
            if self._stream(run) == stream:
                return run
        name = " ".join(filter(None, (f"version {stream.version}", stream.source, day)))
        tags = {**_VERDICTS, DAY: day, _VERSION: stream.version, _SOURCE: stream.source}
        run = self._experiments.create(self._model, name, tags)
        run.end()
        return run

    def _runs(self, since: datetime) -> Iterator[MonitoringRun]:
        first = (since - timedelta(days=1)).date().isoformat()
        return (run for run in self._experiments.runs(self._model, _VERDICTS) if run.tags.get(DAY, "") >= first)

    def _stream(self, run: MonitoringRun) -> Stream:
        return Stream(self._model, run.tags.get(_VERSION, ""), run.tags.get(_SOURCE, ""))


def _reference(run: MonitoringRun) -> RunReference:
    return RunReference(run.experiment_id, run.id)


def _metrics(verdict: Verdict) -> dict[str, float]:
    """What MLflow draws over time: the verdict, the rows, and each feature's statistic by its threshold."""
    features = verdict.document["features"]
    ratios = {
        f"feature/{_UNSAFE.sub('_', feature['name'])}": feature["value"] / feature["threshold"]
        for feature in features
        if feature["threshold"] > 0
    }
    rows = float(verdict.document["window"]["rows"])
    return {"verdict": _STATES[verdict.state], "rows": rows, "differing": float(len(verdict.differing)), **ratios}
