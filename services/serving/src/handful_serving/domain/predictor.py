"""Images to answers, with a bounded number of threads and a bounded queue: nothing of it blocks the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from handful_core.package import Manifest
from handful_core.runtime.model import Prediction
from handful_core.vision.decode import DecodedImage, Pixels, decode_reduced
from handful_serving.concurrency.admission import AdmissionQueue, Slot
from handful_serving.concurrency.threads import WorkerPool
from handful_serving.domain.model_manager import ModelManager
from handful_serving.domain.model_ref import ModelRef
from handful_serving.domain.model_store import LoadedModel, Model
from handful_serving.domain.prediction import ImagePrediction, PredictionResult, PredictOptions
from handful_serving.domain.privacy import FaceBlur
from handful_serving.domain.rollout import Rollout
from handful_serving.errors import OverloadedError

_Result = TypeVar("_Result")


class Predictor:
    """Answers images with the fleet's models.

    Args:
        fleet: the models.
        pipeline: the work on one image.
        queue: who may work when.
        rollout: which requests a challenger answers, or is asked beside the champion.
        workers: threads, as many as the queue has places to work.
    """

    def __init__(
        self, fleet: ModelManager, pipeline: Pipeline, queue: AdmissionQueue, rollout: Rollout, workers: int
    ) -> None:
        self._fleet = fleet
        self._pipeline = pipeline
        self._rollout = rollout
        self._observer = fleet.world.observer
        self._threads = WorkerPool(workers)
        self.queue = queue
        self.workers = workers

    def close(self) -> None:
        """Finish what was begun, then end the threads."""
        self._threads.close()

    async def predict(
        self,
        data: bytes,
        wanted: ModelRef,
        options: PredictOptions = PredictOptions(),  # noqa: B008  # It is frozen.
        *,
        caller: str = "",
        seconds: float | None = None,
    ) -> PredictionResult:
        """Answer one image.

        Args:
            data: an image file.
            wanted: which model is to answer.
            options: thresholds, and whether a picture is wanted.
            caller: whose requests a canary sends to the same version; "" for a choice by chance.
            seconds: another deadline than the queue's own.

        Raises:
            OverloadedError: there is too much work.
            ImageError: the image cannot be used.
            BlurError: faces could not be looked for.
            HandfulError: one of `Fleet.find`'s.
        """
        started = time.perf_counter()
        loaded = await self._choose(wanted, caller, self.queue.seconds if seconds is None else seconds)
        place = await self.queue.enter(seconds)
        waited = (time.perf_counter() - started) * 1e3
        ready, outcome = await self._work(place, loaded, data, options)
        timings = {"queue": waited, **outcome.timings, "total": (time.perf_counter() - started) * 1e3}
        limits = loaded.model.manifest.thresholds
        prediction = PredictionResult(
            key=loaded.key,
            manifest=loaded.model.manifest,
            outcome=outcome,
            confidence=limits.confidence if options.confidence is None else options.confidence,
            iou=limits.iou if options.iou is None else options.iou,
            timings=timings,
        )
        self._rollout.answered(wanted, loaded.key)
        # When this task pauses: by then the answer is on its way.
        asyncio.get_running_loop().call_soon(self._observer.predicted, prediction)
        self._rollout.shadow(wanted, prediction, lambda challenger: self._compare(challenger, ready, options))
        return prediction

    async def _choose(self, wanted: ModelRef, caller: str, seconds: float) -> LoadedModel:
        """The model that answers. One that takes too long to come is fetched on, for those who ask later."""
        try:
            async with asyncio.timeout(seconds):
                return await self._rollout.choose(wanted, caller)
        except TimeoutError:
            raise OverloadedError(f"the model is not loaded within {seconds:g} s", "loading", 1) from None

    async def _work(
        self, place: Slot, loaded: LoadedModel, data: bytes, options: PredictOptions
    ) -> tuple[PreparedImage, ImagePrediction]:
        def work() -> tuple[PreparedImage, ImagePrediction]:
            ready = self._pipeline.prepare(data, loaded.model.manifest, options)
            return ready, self._pipeline.answer(loaded.model, ready, options)

        return await self._run(place, loaded, work)

    async def _compare(
        self, challenger: LoadedModel, ready: PreparedImage, options: PredictOptions
    ) -> ImagePrediction | None:
        """The challenger's answer to the same picture, if nobody has to wait for it and it is not too small for it."""
        spec, picture = challenger.model.manifest.input, ready.picture
        decoded_small = picture.scale != (1, 1) and max(spec.width, spec.height) > max(picture.pixels.shape[:2])
        if not self.queue.idle or decoded_small:
            return None
        place = await self.queue.enter()
        plain = PredictOptions(options.confidence, options.iou)
        return await self._run(place, challenger, lambda: self._pipeline.answer(challenger.model, ready, plain))

    async def _run(self, place: Slot, loaded: LoadedModel, work: Callable[[], _Result]) -> _Result:
        """Run in a thread. A client that goes away ends neither place nor lease: the thread still works."""
        lease = self._fleet.store.lease(loaded)
        lease.__enter__()

        def finish() -> None:
            place.leave()
            lease.__exit__(None, None, None)

        return await self._threads.run(work, finish)


Draw = Callable[[Pixels, Prediction | None, Manifest], bytes]
"""A picture as a JPEG, with the answer drawn in if there is one."""


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """An image that a model may see: no face in it can be recognised any more."""

    picture: DecodedImage
    faces: int
    decode: float
    """Milliseconds."""
    blur: float
    """Milliseconds."""


class Pipeline:
    """The work on one image. Safe to use from several threads at once.

    Args:
        blur: blurs faces.
        draw: draws pictures that are sent back.
        max_pixels: images with more are refused before they are decoded.
    """

    def __init__(self, blur: FaceBlur, draw: Draw, max_pixels: int) -> None:
        self._blur = blur
        self._draw = draw
        self._max_pixels = max_pixels

    def prepare(self, data: bytes, manifest: Manifest, options: PredictOptions) -> PreparedImage:
        """Decode an image and blur its faces.

        Raises:
            ImageError: the image cannot be used.
            BlurError: faces could not be looked for.
        """
        spec = manifest.input
        started = time.perf_counter()
        # A picture that is sent back has the size of the one that was sent.
        enough = max(spec.width, spec.height, self._blur.size) if options.drawing == "none" else None
        picture = decode_reduced(data, min(self._max_pixels, options.max_pixels or self._max_pixels), enough)
        decoded = time.perf_counter()
        faces = self._blur(picture.pixels)
        return PreparedImage(picture, faces, (decoded - started) * 1e3, (time.perf_counter() - decoded) * 1e3)

    def answer(self, model: Model, ready: PreparedImage, options: PredictOptions) -> ImagePrediction:
        """Ask a model.

        Raises:
            PackageError: the model's graph fails.
        """
        picture = ready.picture
        answer = model.predict(picture.pixels, options.confidence, options.iou)
        answer = replace(answer, detections=answer.detections.scaled(*picture.scale))
        timings = {"decode": ready.decode, "blur": ready.blur, **answer.timings}
        drawn = None
        if options.drawing != "none":
            started = time.perf_counter()
            shown = answer if options.drawing == "annotated" else None
            drawn = self._draw(picture.pixels, shown, model.manifest)
            timings["draw"] = (time.perf_counter() - started) * 1e3
        return ImagePrediction(answer, picture.width, picture.height, ready.faces, timings, drawn)
