"""What opens packages: ONNX Runtime, OpenVINO, or the faster of the two (`auto`)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import onnxruntime

from handful_core.errors import ConfigError, PackageError
from handful_core.package import Package
from handful_core.package.archive import read_folder
from handful_core.runtime.cpus import processor_name
from handful_core.runtime.deadline import RUN_SECONDS
from handful_core.runtime.model import VisionModel, load_model
from handful_core.runtime.onnx import OnnxSession
from handful_core.runtime.openvino import OpenVinoSession, installed_version, is_installed, require_openvino
from handful_core.runtime.session import Session
from handful_core.vision.decode import Pixels, decode_image
from handful_serving.adapters.backend_benchmark import (
    Backend,
    BackendChoice,
    BenchmarkCache,
    Latency,
    benchmark_backends,
    choose_backend,
)
from handful_serving.domain.ports import OpenModel
from handful_serving.settings import InferenceBackend

_log = logging.getLogger(__name__)
MakeSession = Callable[[Package, int], Session]
Benchmark = Callable[[Mapping[Backend, VisionModel], Pixels, int], dict[Backend, Latency]]


def model_opener(backend: InferenceBackend, threads: int, cache: Path, run_seconds: float = RUN_SECONDS) -> OpenModel:
    """What opens a package's folder: it checks every hash, builds the session and answers the golden image.

    Args:
        backend: what runs the graph; `auto` measures where OpenVINO is installed.
        threads: processors that one inference may use.
        cache: an existing folder, where `auto` keeps what it measured.
        run_seconds: a run that takes longer is ended.

    Raises:
        ConfigError: OpenVINO is asked for, and is not installed.
    """
    if backend == "openvino":
        require_openvino()
        return partial(_open, threads=threads, session=partial(OpenVinoSession, run_seconds=run_seconds))
    own = partial(OnnxSession, run_seconds=run_seconds)
    if backend == "auto" and is_installed():
        openvino = partial(OpenVinoSession, run_seconds=run_seconds)
        return BenchmarkedOpener(threads, BenchmarkCache(cache / "backends.json"), openvino, onnxruntime_session=own)
    return partial(_open, threads=threads, session=own)


def _open(folder: Path, threads: int, session: MakeSession) -> VisionModel:
    return load_model(read_folder(folder), threads, session)


class BenchmarkedOpener:
    """Opens packages in ONNX Runtime, or in OpenVINO where it is measurably faster and gives the golden answer.

    It measures until the benchmarks of two loads agree: one alone may have met a busy machine.

    Args:
        threads: processors that one inference may use, and images that are worked on at once.
        cache: earlier results.
        openvino: makes OpenVINO's sessions.
        benchmark: measures the latency of each backend.
        onnxruntime_session: makes ONNX Runtime's sessions.
    """

    def __init__(
        self,
        threads: int,
        cache: BenchmarkCache,
        openvino: MakeSession = OpenVinoSession,
        benchmark: Benchmark = benchmark_backends,
        onnxruntime_session: MakeSession = OnnxSession,
    ) -> None:
        self._onnxruntime = onnxruntime_session
        self._threads = threads
        self._cache = cache
        self._openvino = openvino
        self._benchmark = benchmark
        versions = f"ONNX Runtime {onnxruntime.__version__}, OpenVINO {installed_version()}"
        self._machine = f"{processor_name()}, {threads} threads, {versions}"

    def __call__(self, folder: Path) -> VisionModel:
        """Open a package's folder: every hash is checked, and the golden image answered.

        Raises:
            PackageError: the package is bad, or ONNX Runtime cannot run it.
        """
        package = read_folder(folder)
        key = f"{package.digest}, {self._machine}"
        cached = self._cache.get(key)
        try:
            if cached is not None and cached.settled:
                model, choice = self._reuse(package, cached)
            else:
                model, choice = self._measure(package, cached)
            if choice != cached:
                self._cache.put(key, choice)
        except ConfigError as error:  # OpenVINO cannot be loaded now. The benchmark runs once it can.
            model, choice = self._in_onnxruntime(package), BackendChoice("onnxruntime", error.message)
        again = "" if choice.settled else "; measured once more when it is loaded again"
        name = package.manifest.name
        _log.info("%s runs in %s (%s)%s", name, choice.backend, choice.why, again, extra={"backend": choice.backend})
        return model

    def _reuse(self, package: Package, cached: BackendChoice) -> tuple[VisionModel, BackendChoice]:
        if cached.backend == "onnxruntime":
            return self._in_onnxruntime(package), cached
        try:
            return self._in_openvino(package), cached
        except PackageError:  # It worked once. Measuring both again finds out, and logs, why it fails now.
            return self._measure(package, None)

    def _measure(self, package: Package, previous: BackendChoice | None) -> tuple[VisionModel, BackendChoice]:
        model = self._in_onnxruntime(package)
        golden = package.manifest.golden
        if golden is None or not (golden.detections or golden.probabilities):
            return model, BackendChoice(
                "onnxruntime", "no golden image with an answer is there to hold OpenVINO to", settled=True
            )
        try:
            candidate = self._in_openvino(package)
        except PackageError as error:
            return model, BackendChoice("onnxruntime", f"OpenVINO: {error.message}", settled=True)
        pixels = decode_image((package.root / golden.image).read_bytes())
        latencies = self._benchmark({"onnxruntime": model, "openvino": candidate}, pixels, self._threads)
        choice = choose_backend(latencies["onnxruntime"], latencies["openvino"], previous)
        return (candidate if choice.backend == "openvino" else model), choice

    def _in_onnxruntime(self, package: Package) -> VisionModel:
        return load_model(package, self._threads, self._onnxruntime)

    def _in_openvino(self, package: Package) -> VisionModel:
        return load_model(package, self._threads, self._openvino)
