"""From the bytes of an image to an answer, in a thread of a bounded pool: nothing of it touches the event loop."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

from handful_core.package import Manifest
from handful_core.vision.decode import decode_image
from handful_core.vision.model import Answer
from handful_serving.domain.fleet import Fleet
from handful_serving.domain.keys import Key, Wanted
from handful_serving.domain.store import Model


@dataclass(frozen=True, slots=True)
class Prediction:
    """A model's answer to one image, and how it came about."""

    key: Key
    manifest: Manifest
    answer: Answer
    width: int
    """Pixels of the upright image."""
    height: int
    """Pixels of the upright image."""
    confidence: float
    iou: float
    timings: dict[str, float]
    """Milliseconds by stage: decode, preprocess, inference, postprocess, total (with the wait for a free thread)."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    answer: Answer
    width: int
    height: int
    decode: float


class Predictor:
    """Answers images with the fleet's models.

    Args:
        fleet: the models.
        workers: images that are worked on at once.
        max_pixels: images with more are refused before they are decoded.
    """

    def __init__(self, fleet: Fleet, workers: int, max_pixels: int) -> None:
        self._fleet = fleet
        self._max_pixels = max_pixels
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="handful-predict")

    def close(self) -> None:
        """Finish what was begun, then end the threads."""
        self._executor.shutdown()

    async def predict(
        self, data: bytes, wanted: Wanted, confidence: float | None = None, iou: float | None = None
    ) -> Prediction:
        """Answer one image.

        Args:
            data: an image file.
            wanted: which model is to answer.
            confidence: only boxes that score higher; the model's own threshold if None.
            iou: overlap above which two boxes are one object; the model's own threshold if None.

        Raises:
            ImageError: the image cannot be used.
            HandfulError: one of `Fleet.find`'s.
        """
        started = time.perf_counter()
        loaded = await self._fleet.find(wanted)
        lease = ExitStack()
        lease.enter_context(self._fleet.store.lease(loaded))
        running = asyncio.get_running_loop().run_in_executor(
            self._executor, self._answer, loaded.model, data, confidence, iou
        )
        running.add_done_callback(lambda done: _finish(done, lease))
        # A client that goes away must not end the lease: the thread still uses the model.
        outcome = await asyncio.shield(running)
        total = (time.perf_counter() - started) * 1e3
        timings = {"decode": outcome.decode, **outcome.answer.timings, "total": total}
        self._fleet.world.observer.predicted(loaded.key, timings)
        limits = loaded.model.manifest.thresholds
        return Prediction(
            key=loaded.key,
            manifest=loaded.model.manifest,
            answer=outcome.answer,
            width=outcome.width,
            height=outcome.height,
            confidence=limits.confidence if confidence is None else confidence,
            iou=limits.iou if iou is None else iou,
            timings=timings,
        )

    def _answer(self, model: Model, data: bytes, confidence: float | None, iou: float | None) -> _Outcome:
        started = time.perf_counter()
        pixels = decode_image(data, self._max_pixels)
        decode = (time.perf_counter() - started) * 1e3
        height, width = pixels.shape[:2]
        return _Outcome(model.predict(pixels, confidence, iou), width, height, decode)


def _finish(done: asyncio.Future[_Outcome], lease: ExitStack) -> None:
    lease.close()
    if not done.cancelled():
        done.exception()  # Looked at, even if the client has gone.
