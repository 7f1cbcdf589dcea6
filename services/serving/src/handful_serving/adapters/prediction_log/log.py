"""Observes what is answered, and keeps a sample of it: nobody waits for that."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from handful_core.errors import ResourceError, UnavailableError
from handful_core.package import Manifest
from handful_core.profile import FeatureValue, LogRow
from handful_core.profile.answer import at_own_thresholds
from handful_core.profile.measurement import features_from
from handful_core.vision.prediction import Prediction
from handful_serving.adapters.prediction_log.reservoir import Reservoir, Sampled
from handful_serving.adapters.prediction_log.shipper import Shipper
from handful_serving.adapters.prediction_log.spool import Spool
from handful_serving.domain.model_ref import ModelVersion
from handful_serving.domain.prediction import PredictionResult

_log = logging.getLogger(__name__)
_LONGEST_PAUSE = 300.0
"""Seconds between two attempts to reach MLflow."""
_LAST_WORDS = 5.0
"""Seconds that shipping gets when the server ends. What is not shipped by then is shipped after the next start."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What is kept of an answer until its features are computed."""

    at: float
    model_version: ModelVersion
    manifest: Manifest
    digest: str
    source: str
    seen: Mapping[str, FeatureValue]
    prediction: Prediction
    width: int
    height: int
    confidence: float
    iou: float


class PredictionLog(Collector):
    """An `Observer` of the domain: samples answers in memory, and two threads of its own do the rest.

    Args:
        open_spool: opens the folder; tried again every interval while it fails.
        shipper: brings closed segments to MLflow.
        rows: kept of an interval at most.
        interval: seconds between two writings to disk.
        segment_seconds: after so many a segment is closed and shipped.
        clock: wall time, for what rows say. Intervals are measured by a clock that nobody sets.
    """

    def __init__(
        self,
        open_spool: Callable[[], Spool],
        shipper: Shipper,
        rows: int,
        *,
        interval: float = 60,
        segment_seconds: float = 300,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._open_spool = open_spool
        self._shipper = shipper
        self._reservoir: Reservoir[_Answer] = Reservoir(rows)
        self._interval = min(interval, segment_seconds)
        self._segment_seconds = segment_seconds
        self._clock = clock
        self._spool: Spool | None = None
        self._disk = threading.Lock()
        """One thread at a time uses the spool."""
        self._stop, self._closed = threading.Event(), threading.Event()
        self._threads: list[threading.Thread] = []
        self._written = self._dropped = 0
        self._is_troubled = False

    def wants(self, model_version: ModelVersion, source: str) -> bool:
        """Chance decides before an image is looked at: a busy server looks at few."""
        return self._reservoir.admit((model_version, source))

    def predicted(self, result: PredictionResult) -> None:
        """An image was answered."""
        seen = result.image.seen
        if seen is None:
            return
        answer = _Answer(
            at=self._clock(),
            model_version=result.model_version,
            manifest=result.manifest,
            digest=result.digest,
            source=result.source,
            seen=seen,
            prediction=replace(result.prediction, explanation=None),
            width=result.image.width,
            height=result.image.height,
            confidence=result.confidence,
            iou=result.iou,
        )
        self._reservoir.put((result.model_version, result.source), answer)

    def compared(self, name: str, outcome: str) -> None:
        """A challenger's answer is not logged."""

    def reloaded(self, name: str, outcome: str, reason: str) -> None:
        """Metrics say so."""

    def registry_answered(self, *, reachable: bool) -> None:
        """The shipper finds out by itself."""

    def start(self) -> None:
        """Begin to write and ship."""
        self._threads = [
            threading.Thread(target=work, name=f"handful-prediction-log-{name}", daemon=True)
            for name, work in (("writer", self._write), ("shipper", self._ship))
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Write what is in memory, close the segments, and ship them if that takes no longer than a few seconds."""
        self._stop.set()
        for thread in self._threads:
            thread.join(_LAST_WORDS)
        if any(thread.is_alive() for thread in self._threads):
            return  # MLflow hangs: the process ends with its daemon threads.
        self._shipper.close()
        if self._spool is not None:
            self._spool.close()

    def collect(self) -> Iterable[Metric]:
        """Metrics."""
        rows = CounterMetricFamily("handful_prediction_log_rows", "Rows of the prediction log.", labels=["outcome"])
        rows.add_metric(["written"], self._written)
        rows.add_metric(["dropped"], self._dropped)
        yield rows
        yield CounterMetricFamily(
            "handful_prediction_log_segments", "Segments of the prediction log that MLflow has.",
            value=self._shipper.shipped,
        )  # fmt: skip
        spool = self._spool
        yield GaugeMetricFamily(
            "handful_prediction_log_waiting_bytes", "Bytes of the prediction log that wait on this machine.",
            value=spool.bytes if spool else 0,
        )  # fmt: skip

    def _write(self) -> None:
        began = time.monotonic()
        while True:
            stopping = self._stop.wait(self._interval)
            due = stopping or time.monotonic() - began >= self._segment_seconds
            try:
                with self._disk:
                    self._flush(close=due)
            except Exception:  # A fault of ours costs these rows, and not the log of all days to come.
                _log.exception("rows of the prediction log are lost")
            if due:
                began = time.monotonic()
                self._closed.set()
            if stopping:
                return

    def _flush(self, *, close: bool) -> None:
        """Write what was sampled; rows that cannot be written are dropped and counted."""
        sampled = list(self._reservoir.take())
        unwritten = len(sampled)
        try:
            rows = self._rows(sampled)
            for model in sorted(rows):
                try:
                    self._dropped += self._opened().append(model, rows[model])
                except (OSError, ResourceError) as error:
                    self._tell(error)
                else:
                    self._written += len(rows[model])
                    unwritten -= len(rows[model])
                    self._is_troubled = False
        finally:  # Whatever went wrong: no row is lost without being counted.
            self._dropped += unwritten
        if close and self._spool is not None:
            try:
                self._spool.close_segments()
            except OSError as error:
                self._tell(error)

    def _opened(self) -> Spool:
        if self._spool is None:
            spool = self._open_spool()
            spool.recover()
            self._spool = spool
        return self._spool

    def _rows(self, sampled: Iterable[Sampled[_Answer]]) -> dict[str, list[LogRow]]:
        """Rows by model."""
        rows: dict[str, list[LogRow]] = {}
        for answer, weight in sampled:
            row = LogRow(
                id=uuid.uuid4().hex,
                at=datetime.fromtimestamp(answer.at, UTC),
                model=answer.model_version.name,
                version=str(answer.model_version.version),
                package=answer.digest,
                source=answer.source,
                weight=round(weight, 3),
                features=_features(answer),
            )
            rows.setdefault(row.model, []).append(row)
        for found in rows.values():
            found.sort(key=lambda row: row.at)
        return rows

    def _ship(self) -> None:
        """What a killed server left is shipped at once; later, whenever segments are closed."""
        pause = self._interval
        while True:
            stopping = self._stop.is_set()
            if stopping:
                self._threads[0].join(_LAST_WORDS)  # It closes the last segments.
            try:
                self._ship_once()
                pause = self._interval
            except UnavailableError as error:
                _log.info("the prediction log waits for MLflow: %s", error)
                pause = min(2 * pause, _LONGEST_PAUSE)
            except (OSError, ResourceError) as error:
                self._tell(error)
            except Exception:  # As above: the segments stay, and are tried again.
                _log.exception("the prediction log cannot be shipped")
            if stopping:
                return
            self._closed.wait(pause)
            self._closed.clear()

    def _ship_once(self) -> None:
        with self._disk:
            spool = self._opened()
            segments = spool.closed()
        self._shipper.ship(segments)
        with spool.orphans() as left:
            self._shipper.ship(left)
        self._shipper.remove_old()

    def _tell(self, error: Exception) -> None:
        """Once, until it went well again."""
        if not self._is_troubled:
            _log.warning("the prediction log cannot be written, and leaves rows out: %s", error)
        self._is_troubled = True


def _features(answer: _Answer) -> dict[str, FeatureValue]:
    prediction = at_own_thresholds(answer.prediction, answer.manifest, answer.confidence, answer.iou)
    features = features_from(answer.seen, prediction or Prediction(), answer.manifest, answer.width, answer.height)
    if prediction is None:  # Only the image counts.
        return {name: value if name in answer.seen else None for name, value in features.items()}
    return features
