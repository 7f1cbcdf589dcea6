"""The port that chooses pictures, and the threads that write them and bring them to MLflow: nobody waits for these."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import cv2
import numpy as np
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from handful_core.errors import HandfulError, ResourceError, UnavailableError
from handful_core.profile.measurement import features_from
from handful_core.review import CapturedPicture, Probability, ScoredObject
from handful_core.vision.decode import Pixels
from handful_core.vision.phash import perceptual_hashes
from handful_serving.adapters.capture.courier import Courier
from handful_serving.adapters.capture.rules import CaptureRules, Choice, Chooser
from handful_serving.adapters.capture.spool import PictureSpool
from handful_serving.domain.model_ref import ModelVersion
from handful_serving.domain.prediction import PredictionResult

_log = logging.getLogger(__name__)
_LONGEST_SIDE = 1280
"""Pixels of a kept picture: what models see is smaller."""
_QUALITY = 92
_HASH_SIDE = 160
_MOST_WAITING, _MOST_PIXEL_BYTES = 16, 64_000_000
"""Pictures, and bytes of their pixels, that wait in memory to be written."""
_JPEG_BYTES = 500_000
"""What a picture may take on disk, before that is known."""
_LONGEST_PAUSE = 300.0
_LAST_WORDS = 5.0
_TROUBLE_SECONDS = 60.0
"""Nothing is kept for so long after the disk refused a picture."""


@dataclass(frozen=True, slots=True)
class _Kept:
    result: PredictionResult
    pixels: Pixels
    choice: Choice
    at: datetime


class PictureCapture(Collector):
    """A `Capture` of the domain: chooses at once, and two threads of its own do the rest.

    Args:
        rules: which pictures are kept.
        open_spool: opens the folder; tried again while it fails.
        courier: brings pictures to MLflow.
        limit: bytes of pictures that wait on this machine: nothing is kept beyond it.
        interval: seconds between two looks at what waits.
        clock: what time it is.
    """

    def __init__(
        self,
        rules: CaptureRules,
        open_spool: Callable[[], PictureSpool],
        courier: Courier,
        limit: int,
        *,
        interval: float = 2,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.mode: str = rules.mode
        self._rules, self._open_spool, self._courier = rules, open_spool, courier
        self._limit, self._interval, self._clock = limit, interval, clock
        self._spool: PictureSpool | None = None
        self._spool_bytes = 0
        self._day = ""
        self._choosers: dict[str, Chooser] = {}
        """By model, of this day."""
        self._queue: deque[_Kept] = deque()
        self._changed = threading.Condition()
        """Guards the queue, the choosers and the counts."""
        self._stopping = False
        self._troubled_until = 0.0
        self._kept: dict[str, int] = {}
        self._lost = 0
        self._failures = 0
        self._threads: list[threading.Thread] = []

    def looks_at(self, model_version: ModelVersion, source: str) -> bool:
        """Whether a picture may be kept: from this source, on this day, on this disk."""
        if not self._rules.concern(source) or time.monotonic() < self._troubled_until:
            return False
        with self._changed:
            return self._has_room() and not self._chooser(model_version.name).is_full

    def keep(self, result: PredictionResult) -> bool:
        """Keep a picture if it is worth it."""
        with self._changed:
            choice = self._chooser(result.model_version.name).choose(result)
            return choice is not None and self._take(result, choice)

    def differed(self, result: PredictionResult) -> None:
        """The challenger answered otherwise."""
        with self._changed:
            choice = self._chooser(result.model_version.name).differed(result)
            if choice is not None:
                self._take(result, choice)

    def start(self) -> None:
        """Begin to write and to deliver."""
        self._threads = [
            threading.Thread(target=work, name=f"handful-capture-{name}", daemon=True)
            for name, work in (("writer", self._write), ("courier", self._deliver))
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Write what was kept, and bring it to MLflow if that takes no longer than a few seconds."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(_LAST_WORDS)
        if any(thread.is_alive() for thread in self._threads):
            return  # MLflow hangs: the process ends with its daemon threads.
        self._courier.close()
        if self._spool is not None:
            self._spool.close()

    def collect(self) -> Iterable[Metric]:
        """Metrics."""
        kept = CounterMetricFamily("handful_captured_pictures", "Pictures kept for review.", labels=["reason"])
        for reason, count in sorted(self._kept.items()):
            kept.add_metric([reason], count)
        yield kept
        yield CounterMetricFamily(
            "handful_captured_pictures_lost", "Pictures that were chosen, and could not be written or read again.",
            value=self._lost + self._courier.damaged,
        )  # fmt: skip
        yield CounterMetricFamily(
            "handful_captured_pictures_delivery_failures", "Attempts to bring pictures to MLflow that failed.",
            value=self._failures,
        )  # fmt: skip
        yield CounterMetricFamily(
            "handful_captured_pictures_delivered", "Captured pictures that MLflow has.", value=self._courier.delivered
        )
        yield GaugeMetricFamily(
            "handful_captured_pictures_waiting_bytes", "Bytes of captured pictures that wait on this machine.",
            value=self._spool_bytes,
        )  # fmt: skip

    def _chooser(self, model: str) -> Chooser:
        day = self._clock().date().isoformat()
        if day != self._day:
            self._day, self._choosers = day, {}
        if model not in self._choosers:
            before = self._spool.kept(day).get(model, 0) if self._spool else 0
            self._choosers[model] = Chooser(self._rules, before)
        return self._choosers[model]

    def _has_room(self) -> bool:
        waiting = sum(each.pixels.nbytes for each in self._queue)
        used = self._spool_bytes + _JPEG_BYTES * (len(self._queue) + 1)
        return (
            self._spool is not None
            and not self._stopping
            and len(self._queue) < _MOST_WAITING
            and waiting < _MOST_PIXEL_BYTES
            and used <= self._limit
        )

    def _take(self, result: PredictionResult, choice: Choice) -> bool:
        frame, chooser = result.image.frame, self._chooser(result.model_version.name)
        if frame is None or chooser.is_full or not self._has_room():
            return False
        chooser.keep(result)
        self._kept[choice.reason] = self._kept.get(choice.reason, 0) + 1
        self._queue.append(_Kept(result, frame.pixels, choice, self._clock()))
        self._changed.notify_all()
        return True

    def _write(self) -> None:
        while True:
            try:
                self._opened()
            except ResourceError as error:
                _log.warning("no picture is captured: %s", error)
                with self._changed:
                    if self._changed.wait_for(lambda: self._stopping, _TROUBLE_SECONDS):
                        return
                continue
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._stopping)
                if not self._queue:
                    return
                kept = self._queue[0]
            try:
                self._write_one(kept)
            except (OSError, cv2.error) as error:
                self._lose(error)
            except Exception:  # A fault of ours costs this picture, counted and logged, and not all of days to come.
                _log.exception("a captured picture is lost")
                self._lost += 1
            with self._changed:
                self._queue.popleft()
                self._changed.notify_all()

    def _write_one(self, kept: _Kept) -> None:
        spool = self._opened()
        picture, jpeg = _picture(kept)
        spool.add(picture, jpeg)
        self._spool_bytes = spool.bytes
        with self._changed:
            counts = {model: chooser.kept for model, chooser in self._choosers.items()}
            day = self._day
        try:
            spool.count(day, spool.kept(day) | counts)
        except OSError as error:  # The picture is not lost: it lies on the disk.
            self._pause("how many pictures were captured today", error)

    def _lose(self, error: OSError | cv2.error) -> None:
        self._pause("a captured picture", error)
        self._lost += 1

    def _pause(self, what: str, error: OSError | cv2.error) -> None:
        self._troubled_until = time.monotonic() + _TROUBLE_SECONDS
        _log.warning("%s cannot be written (%s): none is kept for a minute", what, error)

    def _opened(self) -> PictureSpool:
        if self._spool is None:
            spool = self._open_spool()
            self._spool_bytes = spool.bytes
            self._spool = spool
        return self._spool

    def _deliver(self) -> None:
        pause = self._interval
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping, pause)
                stopping = self._stopping
            if stopping:
                self._threads[0].join(_LAST_WORDS)  # It writes the last pictures.
            went_well = self._try_to_deliver()
            pause = self._interval if went_well else min(2 * pause, _LONGEST_PAUSE)
            if stopping:
                return

    def _try_to_deliver(self) -> bool:
        """Whether it went well. Else it is counted and logged, and the pictures stay."""
        try:
            self._deliver_once()
        except UnavailableError as error:
            _log.info("captured pictures wait for MLflow: %s", error)
        except (OSError, HandfulError) as error:
            _log.warning("captured pictures wait: %s", error)
        except Exception:  # A fault of ours, which may concern one picture alone.
            _log.exception("captured pictures cannot be delivered")
        else:
            return True
        self._failures += 1
        return False

    def _deliver_once(self) -> None:
        spool = self._spool
        if spool is None:
            return
        try:
            self._courier.deliver(spool.waiting())
            with spool.orphans() as left:
                self._courier.deliver(left)
            self._courier.remove_old()
        finally:
            self._spool_bytes = spool.bytes


def _picture(kept: _Kept) -> tuple[CapturedPicture, bytes]:
    """The record of a picture and its JPEG."""
    result, pixels = kept.result, _reduced(kept.pixels, _LONGEST_SIDE)
    is_encoded, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not is_encoded:
        raise OSError("the picture cannot be encoded")
    jpeg = encoded.tobytes()
    height, width = pixels.shape[:2]
    scale = width / result.image.width, height / result.image.height
    image, manifest, frame = result.image, result.manifest, result.image.frame
    seen = frame.seen if frame is not None else {}
    grey: Pixels = np.asarray(cv2.cvtColor(_reduced(pixels, _HASH_SIDE), cv2.COLOR_BGR2GRAY), np.uint8)
    picture = CapturedPicture(
        id=uuid.uuid4().hex,
        at=kept.at.replace(microsecond=kept.at.microsecond // 1000 * 1000),
        model=result.model_version.name,
        version=str(result.model_version.version),
        package=result.digest,
        source=result.source,
        task=manifest.task,
        width=width,
        height=height,
        reason=kept.choice.reason,
        score=kept.choice.score,
        sha256=hashlib.sha256(jpeg).hexdigest(),
        phash=perceptual_hashes([grey])[0],
        objects=_objects(kept.choice, manifest.classes, scale, (width, height)),
        probabilities=_probabilities(kept.choice, manifest.classes),
        profile=features_from(seen, kept.choice.prediction, manifest, image.width, image.height),
    )
    return picture, jpeg


def _objects(
    choice: Choice, classes: tuple[str, ...], scale: tuple[float, float], size: tuple[int, int]
) -> tuple[ScoredObject, ...]:
    """Boxes in pixels of the JPEG."""
    found = choice.prediction.detections.scaled(*scale)
    objects = []
    for box, score, number in zip(found.boxes.tolist(), found.scores.tolist(), found.classes.tolist(), strict=True):
        x1, y1, x2, y2 = (round(min(max(edge, 0), size[i % 2]), 1) for i, edge in enumerate(box))
        if x1 < x2 and y1 < y2:
            objects.append(ScoredObject(classes[number], round(score, 4), (x1, y1, x2, y2)))
    return tuple(objects)


def _probabilities(choice: Choice, classes: tuple[str, ...]) -> tuple[Probability, ...]:
    if choice.prediction.probabilities is None:
        return ()
    ranked = sorted(enumerate(choice.prediction.probabilities.tolist()), key=lambda item: -item[1])
    return tuple(Probability(classes[number], round(value, 4)) for number, value in ranked)


def _reduced(pixels: Pixels, side: int) -> Pixels:
    scale = side / max(pixels.shape[:2])
    if scale >= 1:
        return pixels
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
