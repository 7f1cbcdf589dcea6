"""In which backend and precision a package is fastest here: latencies, the choice, the file that keeps it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from handful_core.files import write_atomically
from handful_core.runtime.benchmark import measure_in_turns
from handful_core.runtime.execution import Backend, Execution, Reduced
from handful_core.runtime.model import VisionModel
from handful_core.vision.decode import Pixels

_log = logging.getLogger(__name__)
MARGIN = 0.10
"""Another backend takes more memory and a lower precision loses a little, so each is kept only if it saves at least
this share of the time of the one before it."""
_NAMES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}


@dataclass(frozen=True, slots=True)
class Latency:
    """How long an image takes in a backend and precision, in milliseconds."""

    alone: float
    """One image at a time, with all threads."""
    together: float
    """Under load, with as many images at once as serving works on: the time of all of them, divided by their number."""


@dataclass(frozen=True, slots=True)
class BackendChoice:
    """A backend and a precision, and the measurement that chose them."""

    backend: Backend
    why: str
    settled: bool = False
    """Final. One benchmark may have met a busy machine, so a choice is settled once a second one agrees."""
    reduced: Reduced | None = None
    """The precision, if it is below the package's own."""

    @property
    def execution(self) -> Execution:
        """What was chosen."""
        return Execution(self.backend, self.reduced)


def choose_backend(latencies: Mapping[Execution, Latency], previous: BackendChoice | None = None) -> BackendChoice:
    """The first, unless another is clearly faster for one image and no slower for many at once.

    Args:
        latencies: of each execution, the one that costs least first: a later one has to beat the best before it.
        previous: the choice of the benchmark before this one.
    """
    (chosen, best), *others = latencies.items()
    for execution, latency in others:
        if latency.alone <= best.alone * (1 - MARGIN) and latency.together <= best.together:
            chosen, best = execution, latency
    why = "; ".join(_describe(execution, latency) for execution, latency in latencies.items())
    settled = previous is not None and previous.execution == chosen
    return BackendChoice(chosen.backend, why, settled, chosen.reduced)


def _describe(execution: Execution, latency: Latency) -> str:
    return f"{named(execution)} {latency.alone:.1f} ms alone, {latency.together:.1f} ms an image under load"


def named(execution: Execution) -> str:
    """As people write it."""
    name = _NAMES[execution.backend]
    return f"{name} {execution.reduced.upper()}" if execution.reduced else name


_MAX_CHOICES = 200
_CHOICE = TypeAdapter(BackendChoice)


class BenchmarkCache:
    """Earlier choices, in a JSON file. Several processes may share it; the last one that writes wins.

    Args:
        path: the file; the first `put` makes it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, key: str) -> BackendChoice | None:
        """The choice of this key."""
        try:
            return _CHOICE.validate_python(self._read().get(key))
        except ValidationError:  # Not measured yet, or written in another form.
            return None

    def put(self, key: str, choice: BackendChoice) -> None:
        """Keep a choice. If the file cannot be written, the next start measures again."""
        choices = self._read()
        choices.pop(key, None)  # A key that is set again moves to the end, so the oldest fall out first.
        choices[key] = asdict(choice)
        kept = dict(list(choices.items())[-_MAX_CHOICES:])
        try:
            write_atomically(self._path, json.dumps(kept, indent=2))
        except OSError as error:
            _log.warning("which backend was chosen cannot be noted in %s (%s)", self._path, error)

    def _read(self) -> dict[str, Any]:
        try:
            choices = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            _log.warning("the noted backends in %s cannot be read (%s)", self._path, error)
            return {}
        return choices if isinstance(choices, dict) else {}


_WARM_UP = 2
_ROUNDS = 20
_MIN_ROUNDS = 4
_BUDGET_SECONDS = 3.0
"""Of each of the two measurements, for two models. One too slow for `_ROUNDS` in that time gets `_MIN_ROUNDS`."""


def benchmark_backends(
    models: Mapping[Execution, VisionModel], pixels: Pixels, threads: int
) -> dict[Execution, Latency]:
    """Time one package in several backends and precisions, in turns, so that a busy moment meets all of them.

    Args:
        models: the package in each of them.
        pixels: (height, width, 3) uint8, BGR.
        threads: images that serving works on at once.
    """

    def one(model: VisionModel) -> None:
        model.predict(pixels)

    alone = _measure(models, one)
    if threads == 1:
        return {execution: Latency(ms, ms) for execution, ms in alone.items()}
    with ThreadPoolExecutor(threads, thread_name_prefix="handful-benchmark") as pool:

        def many(model: VisionModel) -> None:
            list(pool.map(lambda _: model.predict(pixels), range(threads)))

        together = _measure(models, many)
    return {execution: Latency(alone[execution], together[execution] / threads) for execution in models}


def _measure(models: Mapping[Execution, VisionModel], work: Callable[[VisionModel], None]) -> dict[Execution, float]:
    """Milliseconds of each: the lower quartile, since other programs make rounds longer and never shorter."""
    timings = measure_in_turns(
        [partial(work, model) for model in models.values()],
        warm_up=_WARM_UP,
        rounds=_ROUNDS,
        budget=_BUDGET_SECONDS * len(models) / 2,
        min_rounds=_MIN_ROUNDS,
    )
    return {execution: times.percentile(25) for execution, times in zip(models, timings, strict=True)}
