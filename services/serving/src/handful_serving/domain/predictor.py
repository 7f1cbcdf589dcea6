"""Images to predictions: admission, a worker thread that decodes, blurs and asks the model, and the rollout's say."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from handful_core.package import Input, Manifest
from handful_core.profile import FeatureValue
from handful_core.profile.appearance import SIDE, appearance
from handful_core.review.choice import answer_vector
from handful_core.vision.decode import DecodedImage, Pixels, decode_reduced
from handful_core.vision.prediction import Prediction
from handful_core.vision.preprocess import least_size
from handful_faces.privacy import FaceBlur
from handful_serving.concurrency.admission import AdmissionQueue, Slot
from handful_serving.concurrency.threads import WorkerPool
from handful_serving.domain.model_manager import ModelManager
from handful_serving.domain.model_ref import ModelRef
from handful_serving.domain.model_store import LoadedModel, Model
from handful_serving.domain.ports import Capture
from handful_serving.domain.prediction import Frame, ImagePrediction, PredictionResult, PredictOptions
from handful_serving.domain.rollout import Rollout
from handful_serving.errors import OverloadedError

_Result = TypeVar("_Result")
Draw = Callable[[Pixels, Prediction | None, Manifest], bytes]
"""A picture as a JPEG, with the prediction drawn in if there is one."""


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """An image that a model may see: its faces are blurred beyond recognition."""

    decoded: DecodedImage
    faces: int
    decode_ms: float
    blur_ms: float
    seen: Mapping[str, FeatureValue] | None = None
    """What it looked like before."""
    kept: Mapping[str, FeatureValue] | None = None
    """The same, where the image may be kept."""


class Pipeline:
    """The work on one image, in the thread that calls. Safe to use from several threads at once.

    Args:
        blur: blurs faces.
        draw: draws pictures that are sent back.
        max_pixels: images with more are refused before they are decoded.
    """

    def __init__(self, blur: FaceBlur, draw: Draw, max_pixels: int) -> None:
        self._blur = blur
        self._draw = draw
        self._max_pixels = max_pixels

    def prepare(
        self, data: bytes, manifest: Manifest, options: PredictOptions, *, look: bool = False, capture: bool = False
    ) -> PreparedImage:
        """Decode an image and blur its faces.

        Args:
            data: an image file.
            manifest: of the model that is asked.
            options: of the request.
            look: measure what the image looks like, before anything is blurred.
            capture: keep the pixels with the result, after the blur.

        Raises:
            ImageError: the image cannot be used.
            BlurError: face detection failed.
        """
        spec = manifest.input
        started = time.perf_counter()
        # A JPEG can be decoded at a half, a quarter or an eighth of its size, which is faster. The model, the face
        # detector and the log must still get the size that they work in. A picture that is sent back keeps its size.
        enough = max(spec.width, spec.height, self._blur.size, SIDE) if options.drawing == "none" else None
        limit = min(self._max_pixels, options.max_pixels or self._max_pixels)
        image = decode_reduced(data, limit, enough, least_size(spec))
        decoded = time.perf_counter()
        seen = appearance(data, image) if look or capture else None
        looked = time.perf_counter()
        faces = self._blur(image.pixels)
        blur_ms = (time.perf_counter() - looked) * 1e3
        return PreparedImage(
            image, faces, (decoded - started) * 1e3, blur_ms, seen if look else None, seen if capture else None
        )

    def predict(self, model: Model, image: PreparedImage, options: PredictOptions) -> ImagePrediction:
        """Ask a model.

        Raises:
            PackageError: the model's graph fails.
        """
        decoded = image.decoded
        prediction = model.predict(decoded.pixels, options.confidence, options.iou, explain=options.explain)
        # The model saw the reduced image: boxes go back to pixels of the image that was sent.
        prediction = prediction.scaled(*decoded.scale)
        timings = {"decode": image.decode_ms, "blur": image.blur_ms, **prediction.timings}
        picture = None
        if options.drawing != "none":
            started = time.perf_counter()
            shown = prediction if options.drawing == "annotated" else None
            picture = self._draw(decoded.pixels, shown, model.manifest)
            timings["draw"] = (time.perf_counter() - started) * 1e3
        frame = None
        if image.kept is not None:
            frame = Frame(decoded.pixels, image.kept, answer_vector(prediction, decoded.pixels))
        return ImagePrediction(
            prediction, decoded.width, decoded.height, image.faces, timings, picture, image.seen, frame
        )


class Predictor:
    """Predicts images with the manager's models, on a bounded number of threads and behind a bounded queue.

    Args:
        manager: the models.
        pipeline: the work on one image.
        queue: who may work when.
        rollout: which requests a challenger answers, or is asked beside the champion.
        workers: threads.
        capture: keeps pictures for review; None where nobody does.
    """

    def __init__(
        self,
        manager: ModelManager,
        pipeline: Pipeline,
        queue: AdmissionQueue,
        rollout: Rollout,
        workers: int,
        capture: Capture | None = None,
    ) -> None:
        self._manager = manager
        self._pipeline = pipeline
        self._rollout = rollout
        self._observer = manager.dependencies.observer
        self._capture = capture
        self._pool = WorkerPool(workers)
        self.queue = queue
        self.workers = workers

    def close(self) -> None:
        """Finish what was begun, then end the threads."""
        self._pool.close()

    async def predict(
        self,
        data: bytes,
        ref: ModelRef,
        options: PredictOptions = PredictOptions(),  # noqa: B008  # It is frozen.
        *,
        caller: str = "",
        deadline: float | None = None,
    ) -> PredictionResult:
        """Predict one image.

        Args:
            data: an image file.
            ref: the model that the request names.
            options: thresholds, and whether a picture comes back.
            caller: whose requests a canary sends to the same version; "" for a choice by chance.
            deadline: seconds, instead of the queue's own deadline.

        Raises:
            OverloadedError: there is too much work.
            ImageError: the image cannot be used.
            BlurError: face detection failed.
            HandfulError: one of `ModelManager.find`'s.
        """
        started = time.perf_counter()
        loaded = await self._choose(ref, caller, self.queue.deadline if deadline is None else deadline)
        slot = await self.queue.acquire(deadline)
        waited = (time.perf_counter() - started) * 1e3
        look = self._observer.wants(loaded.model_version, options.source)
        capture = self._capture is not None and self._capture.looks_at(loaded.model_version, options.source)
        prepared, image = await self._work(slot, loaded, data, options, look=look, capture=capture)
        timings = {"queue": waited, **image.timings, "total": (time.perf_counter() - started) * 1e3}
        challenger = self._rollout.shadow(ref, loaded.model_version)
        result = self._captured(_result(loaded, image, options, timings), is_compared=challenger is not None)
        self._rollout.count(ref, loaded.model_version)
        # Metrics are recorded in a later turn of the event loop, after the response was handed over: nobody waits.
        asyncio.get_running_loop().call_soon(self._observer.predicted, result)
        if challenger is not None:
            self._rollout.compare(
                challenger, result, lambda: self._shadow(challenger, prepared, options), self._differed
            )
        return result

    def _captured(self, result: PredictionResult, *, is_compared: bool) -> PredictionResult:
        """The result, which says whether its picture is kept."""
        if self._capture is None:
            return result
        kept = result.image.frame is not None and self._capture.keep(result)
        is_open = not kept and is_compared and result.image.frame is not None
        return replace(result, captured="undecided" if is_open else kept)

    def _differed(self, result: PredictionResult) -> None:
        if self._capture is not None and result.captured == "undecided":
            self._capture.differed(result)

    async def _choose(self, ref: ModelRef, caller: str, seconds: float) -> LoadedModel:
        """The model that answers. One that takes too long goes on loading, for those who ask later."""
        try:
            async with asyncio.timeout(seconds):
                return await self._rollout.choose(ref, caller)
        except TimeoutError:
            raise OverloadedError(f"the model is not loaded within {seconds:g} s", "loading", 1) from None

    async def _work(
        self, slot: Slot, loaded: LoadedModel, data: bytes, options: PredictOptions, *, look: bool, capture: bool
    ) -> tuple[PreparedImage, ImagePrediction]:
        def work() -> tuple[PreparedImage, ImagePrediction]:
            prepared = self._pipeline.prepare(data, loaded.model.manifest, options, look=look, capture=capture)
            return prepared, self._pipeline.predict(loaded.model, prepared, options)

        return await self._run(slot, loaded, work)

    async def _shadow(
        self, challenger: LoadedModel, prepared: PreparedImage, options: PredictOptions
    ) -> ImagePrediction | None:
        """The challenger's prediction of the same image; None if the server is busy, or the image too small for it."""
        spec, decoded = challenger.model.manifest.input, prepared.decoded
        # The image was reduced for the champion. A challenger with a larger input would see less than it should.
        too_small = decoded.scale != (1, 1) and not _suffices(decoded.pixels, spec)
        if not self.queue.has_free_slot or too_small:
            return None
        slot = await self.queue.acquire()
        plain = PredictOptions(options.confidence, options.iou)
        return await self._run(slot, challenger, lambda: self._pipeline.predict(challenger.model, prepared, plain))

    async def _run(self, slot: Slot, loaded: LoadedModel, work: Callable[[], _Result]) -> _Result:
        """Run in a worker thread.

        A client that disconnects cancels the task that awaits here, but not the thread: it works on. So the slot and
        the lease are released when the thread is done, not when the `await` ends.
        """
        lease = self._manager.store.lease(loaded)

        def release() -> None:
            slot.release()
            lease.release()

        return await self._pool.run(work, release)


def _suffices(pixels: Pixels, spec: Input) -> bool:
    height, width = map(int, pixels.shape[:2])
    least_width, least_height = least_size(spec)
    return max(width, height) >= max(spec.width, spec.height) and width >= least_width and height >= least_height


def _result(
    loaded: LoadedModel, image: ImagePrediction, options: PredictOptions, timings: dict[str, float]
) -> PredictionResult:
    thresholds = loaded.model.manifest.thresholds
    return PredictionResult(
        model_version=loaded.model_version,
        manifest=loaded.model.manifest,
        image=image,
        confidence=thresholds.confidence if options.confidence is None else options.confidence,
        iou=thresholds.iou if options.iou is None else options.iou,
        timings=timings,
        digest=loaded.digest,
        source=options.source,
    )
