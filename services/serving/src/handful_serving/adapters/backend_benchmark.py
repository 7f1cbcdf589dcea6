"""Which backend runs a package faster on this machine: latencies, the choice, and the file that keeps it."""

from __future__ import annotations

import json
import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from handful_core.runtime.model import VisionModel
from handful_core.vision.decode import Pixels

Backend = Literal["onnxruntime", "openvino"]

MARGIN = 0.10
"""OpenVINO takes more memory, so it is kept only if it saves at least this share of the time."""
_NAMES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}


@dataclass(frozen=True, slots=True)
class Latency:
    """How long a backend takes for an image, in milliseconds."""

    alone: float
    """One image at a time, with all threads."""
    together: float
    """An image's share of the time when as many are asked at once as serving works on."""


@dataclass(frozen=True, slots=True)
class BackendChoice:
    """A backend, and why it is this one."""

    backend: Backend
    why: str
    settled: bool = False
    """It stays. One measurement may have met a busy machine: a choice is settled once another says the same."""


def choose_backend(onnxruntime: Latency, openvino: Latency, before: BackendChoice | None = None) -> BackendChoice:
    """OpenVINO, if it is clearly faster for one image and no slower for many at once.

    Args:
        onnxruntime: what was measured of it.
        openvino: what was measured of it.
        before: what was chosen by the measurement before this one.
    """
    why = f"{_tell('onnxruntime', onnxruntime)}; {_tell('openvino', openvino)}"
    faster = openvino.alone <= onnxruntime.alone * (1 - MARGIN) and openvino.together <= onnxruntime.together
    backend: Backend = "openvino" if faster else "onnxruntime"
    return BackendChoice(backend, why, settled=before is not None and before.backend == backend)


def _tell(backend: Backend, pace: Latency) -> str:
    return f"{_NAMES[backend]} {pace.alone:.1f} ms alone, {pace.together:.1f} ms an image under load"


_log = logging.getLogger(__name__)
_KEPT = 200
_CHOICE = TypeAdapter(BackendChoice)


class BenchmarkCache:
    """Choices by what was measured. Several processes may share the file; the last one that writes wins.

    Args:
        path: the file; it is made when there is something to note.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, key: str) -> BackendChoice | None:
        """The choice of this key."""
        try:
            return _CHOICE.validate_python(self._read().get(key))
        except ValidationError:  # Not noted yet, or not in this form: it is measured.
            return None

    def put(self, key: str, choice: BackendChoice) -> None:
        """Remember a choice, if the file can be written: else it is made again at the next start."""
        noted = self._read()
        noted.pop(key, None)
        noted[key] = asdict(choice)
        kept = dict(list(noted.items())[-_KEPT:])
        try:
            with tempfile.NamedTemporaryFile("w", dir=self._path.parent, delete=False, encoding="utf-8") as file:
                json.dump(kept, file, indent=2)
            Path(file.name).chmod(0o644)
            Path(file.name).replace(self._path)
        except OSError as error:
            _log.warning("which backend was chosen cannot be noted in %s (%s)", self._path, error)

    def _read(self) -> dict[str, Any]:
        try:
            noted = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            _log.warning("the noted backends in %s cannot be read (%s)", self._path, error)
            return {}
        return noted if isinstance(noted, dict) else {}


_WARM_UP = 2
_ROUNDS = 20
_FEWEST = 4
_SECONDS = 3.0
"""Of each of the two measurements: after that, a slow model is measured by `_FEWEST` rounds."""

Work = Callable[[VisionModel], None]


def benchmark_backends(models: Mapping[Backend, VisionModel], pixels: Pixels, threads: int) -> dict[Backend, Latency]:
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
        return {backend: Latency(ms, ms) for backend, ms in alone.items()}
    with ThreadPoolExecutor(threads, thread_name_prefix="handful-race") as pool:

        def many(model: VisionModel) -> None:
            list(pool.map(lambda _: model.predict(pixels), range(threads)))

        together = _measure(models, many)
    return {backend: Latency(alone[backend], together[backend] / threads) for backend in models}


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
