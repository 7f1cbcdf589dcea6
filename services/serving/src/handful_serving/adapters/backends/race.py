"""How long each backend takes on this machine, with the threads that serving has."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from handful_core.runtime.model import VisionModel
from handful_core.vision.decode import Pixels
from handful_serving.domain.backends import Backend, Pace

_WARM_UP = 2
_ROUNDS = 20
_FEWEST = 4
_SECONDS = 3.0
"""Of each of the two measurements: after that, a slow model is measured by `_FEWEST` rounds."""

Work = Callable[[VisionModel], None]


def race(models: Mapping[Backend, VisionModel], pixels: Pixels, threads: int) -> dict[Backend, Pace]:
    """Let models answer one image in turns, so that a busy moment meets them all.

    Args:
        models: one package in several backends.
        pixels: (height, width, 3) uint8, BGR.
        threads: images that serving works on at once.
    """

    def one(model: VisionModel) -> None:
        model.predict(pixels)

    alone = _measure(models, one)
    if threads == 1:
        return {backend: Pace(ms, ms) for backend, ms in alone.items()}
    with ThreadPoolExecutor(threads, thread_name_prefix="handful-race") as pool:

        def many(model: VisionModel) -> None:
            list(pool.map(lambda _: model.predict(pixels), range(threads)))

        together = _measure(models, many)
    return {backend: Pace(alone[backend], together[backend] / threads) for backend in models}


def _measure(models: Mapping[Backend, VisionModel], work: Work) -> dict[Backend, float]:
    """Milliseconds of each: what a quarter of its runs stay below. Other programs make runs longer, never shorter."""
    taken: dict[Backend, list[float]] = {backend: [] for backend in models}
    ends = time.perf_counter() + _SECONDS
    for turn in range(_WARM_UP + _ROUNDS):
        if turn >= _WARM_UP + _FEWEST and time.perf_counter() > ends:
            break
        for backend, model in models.items():
            began = time.perf_counter()
            work(model)
            taken[backend].append((time.perf_counter() - began) * 1e3)
    return {backend: statistics.quantiles(times[_WARM_UP:], n=4)[0] for backend, times in taken.items()}
