"""How long a package takes on this machine."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from handful_core.errors import ConfigError, PackageError
from handful_core.package import Package
from handful_core.runtime.benchmark import measure_in_turns
from handful_core.runtime.cpus import available_cpus
from handful_core.runtime.model import VisionModel, load_model
from handful_core.runtime.openvino import OpenVinoSession, is_installed
from handful_core.vision.decode import decode_image

_log = logging.getLogger(__name__)
_WARM_UP = 3


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from an image in memory to its boxes: preprocessing, inference, postprocessing."""

    threads: int
    p50: float
    p95: float
    openvino: Latency | None = None
    """The same in OpenVINO, where that is installed and gives the golden image's answer."""

    def metrics(self) -> dict[str, float]:
        """As a run carries it."""
        found = {"package/latency_ms_p50": self.p50, "package/latency_ms_p95": self.p95}
        if self.openvino is not None:
            found["package/latency_openvino_ms_p50"] = self.openvino.p50
            found["package/latency_openvino_ms_p95"] = self.openvino.p95
        return found


def measure_latency(package: Package, image: Path, runs: int = 30) -> Latency:
    """Let a package answer one image again and again, with all processors.

    Args:
        package: a checked package.
        image: an image file; decoding it is not counted.
        runs: how often, after some runs that warm up.
    """
    threads = available_cpus()
    models = [load_model(package, threads)]
    if other := _in_openvino(package, threads):
        models.append(other)
    pixels = decode_image(image.read_bytes())
    timings = measure_in_turns([partial(model.predict, pixels) for model in models], warm_up=_WARM_UP, rounds=runs)
    first, *others = (Latency(threads, taken.median, taken.percentile(95)) for taken in timings)
    return Latency(threads, first.p50, first.p95, *others)


def _in_openvino(package: Package, threads: int) -> VisionModel | None:
    if not is_installed():
        return None
    try:
        return load_model(package, threads, OpenVinoSession)
    except (ConfigError, PackageError) as error:
        _log.warning("the package is not timed in OpenVINO (%s)", error.message)
        return None
