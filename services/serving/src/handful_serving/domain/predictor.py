"""Images to answers, with a bounded number of threads and a bounded queue: nothing of it blocks the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from handful_serving.domain.errors import OverloadedError
from handful_serving.domain.fleet import Fleet
from handful_serving.domain.keys import Wanted
from handful_serving.domain.pipeline import Pipeline, Ready
from handful_serving.domain.prediction import Options, Outcome, PredictionResult
from handful_serving.domain.queue import Place, Queue
from handful_serving.domain.rollout import Rollout
from handful_serving.domain.store import Loaded
from handful_serving.domain.threads import Workers

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

    def __init__(self, fleet: Fleet, pipeline: Pipeline, queue: Queue, rollout: Rollout, workers: int) -> None:
        self._fleet = fleet
        self._pipeline = pipeline
        self._rollout = rollout
        self._observer = fleet.world.observer
        self._threads = Workers(workers)
        self.queue = queue
        self.workers = workers

    def close(self) -> None:
        """Finish what was begun, then end the threads."""
        self._threads.close()

    async def predict(
        self,
        data: bytes,
        wanted: Wanted,
        options: Options = Options(),  # noqa: B008  # It is frozen.
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

    async def _choose(self, wanted: Wanted, caller: str, seconds: float) -> Loaded:
        """The model that answers. One that takes too long to come is fetched on, for those who ask later."""
        try:
            async with asyncio.timeout(seconds):
                return await self._rollout.choose(wanted, caller)
        except TimeoutError:
            raise OverloadedError(f"the model is not loaded within {seconds:g} s", "loading", 1) from None

    async def _work(self, place: Place, loaded: Loaded, data: bytes, options: Options) -> tuple[Ready, Outcome]:
        def work() -> tuple[Ready, Outcome]:
            ready = self._pipeline.prepare(data, loaded.model.manifest, options)
            return ready, self._pipeline.answer(loaded.model, ready, options)

        return await self._run(place, loaded, work)

    async def _compare(self, challenger: Loaded, ready: Ready, options: Options) -> Outcome | None:
        """The challenger's answer to the same picture, if nobody has to wait for it and it is not too small for it."""
        spec, picture = challenger.model.manifest.input, ready.picture
        decoded_small = picture.scale != (1, 1) and max(spec.width, spec.height) > max(picture.pixels.shape[:2])
        if not self.queue.idle or decoded_small:
            return None
        place = await self.queue.enter()
        plain = Options(options.confidence, options.iou)
        return await self._run(place, challenger, lambda: self._pipeline.answer(challenger.model, ready, plain))

    async def _run(self, place: Place, loaded: Loaded, work: Callable[[], _Result]) -> _Result:
        """Run in a thread. A client that goes away ends neither place nor lease: the thread still works."""
        lease = self._fleet.store.lease(loaded)
        lease.__enter__()

        def finish() -> None:
            place.leave()
            lease.__exit__(None, None, None)

        return await self._threads.run(work, finish)
