"""How long a package takes on this machine."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from handful_core.package import Package
from handful_core.vision.cpus import available_cpus
from handful_core.vision.decode import decode_image
from handful_core.vision.model import load_model

_WARM_UP = 3


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from an image in memory to its boxes: preprocessing, inference, postprocessing."""

    threads: int
    p50: float
    p95: float

    def metrics(self) -> dict[str, float]:
        """As a run carries it."""
        return {"package/latency_ms_p50": self.p50, "package/latency_ms_p95": self.p95}


def measure_latency(package: Package, image: Path, runs: int = 30) -> Latency:
    """Let a package answer one image again and again, with all processors.

    Args:
        package: a checked package.
        image: an image file; decoding it is not counted.
        runs: how often, after some runs that warm up.
    """
    threads = available_cpus()
    model = load_model(package, threads)
    pixels = decode_image(image.read_bytes())
    times = []
    for _ in range(_WARM_UP + runs):
        began = time.perf_counter()
        model.predict(pixels)
        times.append((time.perf_counter() - began) * 1e3)
    p50, p95 = (float(value) for value in np.percentile(times[_WARM_UP:], [50, 95]))
    return Latency(threads, p50, p95)
