"""What opens packages: in the backend and precision that is asked for, or in the fastest that the package allows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import onnxruntime

from handful_core import __version__
from handful_core.errors import ConfigError, PackageError
from handful_core.package import Package
from handful_core.package.archive import read_folder
from handful_core.runtime.cpus import instruction_sets, processor_name
from handful_core.runtime.deadline import RUN_SECONDS
from handful_core.runtime.execution import Backend, Execution, executions, session_maker
from handful_core.runtime.model import VisionModel, load_model
from handful_core.runtime.onnx import trim_heap
from handful_core.runtime.openvino import installed_version, is_installed, require_openvino
from handful_core.runtime.session import Session
from handful_core.vision.decode import Pixels, decode_image
from handful_serving.adapters.backend_benchmark import (
    BackendChoice,
    BenchmarkCache,
    Latency,
    benchmark_backends,
    choose_backend,
    named,
)
from handful_serving.domain.ports import OpenModel
from handful_serving.settings import InferenceBackend, InferencePrecision

_log = logging.getLogger(__name__)
MakeSession = Callable[[Package, int], Session]
Benchmark = Callable[[Mapping[Execution, VisionModel], Pixels, int], dict[Execution, Latency]]
Passed = Callable[[Path], Collection[str]]
"""In which backends and precisions a package's folder passed its first run, by name."""


def installed_backends(backend: InferenceBackend) -> list[Backend]:
    """What may run graphs, the first unless another is faster."""
    if backend == "auto":
        return ["onnxruntime", "openvino"] if is_installed() else ["onnxruntime"]
    return [backend]


def processor_and_versions(backends: Sequence[Backend]) -> str:
    """What a measurement or a first run holds for: another processor or release may do better, or worse."""
    versions = f"Handful {__version__}, ONNX Runtime {onnxruntime.__version__}"
    versions += f", OpenVINO {installed_version()}" if "openvino" in backends else ""
    return f"{processor_name()}, {instruction_sets()}, {versions}"


def model_opener(
    backend: InferenceBackend,
    threads: int,
    cache: Path,
    run_seconds: float = RUN_SECONDS,
    *,
    precision: InferencePrecision = "auto",
    passed: Passed | None = None,
) -> OpenModel:
    """What opens a package's folder: it checks every hash, builds the session and answers the golden image.

    Args:
        backend: what runs the graph; `auto` measures where OpenVINO is installed.
        threads: processors that one inference may use.
        cache: an existing folder, where what was measured is kept.
        run_seconds: a run that takes longer is ended.
        precision: `auto` measures those that a package allows, too.
        passed: leaves out what failed in a process of its own.

    Raises:
        ConfigError: OpenVINO is asked for, and is not installed.
    """
    if backend == "openvino":
        require_openvino()
    return BenchmarkedOpener(
        threads,
        BenchmarkCache(cache / "backends.json"),
        installed_backends(backend),
        reduced=precision == "auto",
        passed=passed,
        sessions=partial(session_maker, run_seconds=run_seconds),
    )


class BenchmarkedOpener:
    """Opens packages in the first backend, or in what is measurably faster and gives the golden answer.

    It measures until the benchmarks of two loads agree: one alone may have met a busy machine.

    Args:
        threads: processors that one inference may use, and images that are worked on at once.
        cache: earlier results.
        backends: those that may be taken.
        reduced: take precisions below a package's own where it allows them.
        passed: leaves out what failed in a process of its own; nothing is left out if None.
        benchmark: measures latencies.
        sessions: makes what makes sessions.
    """

    def __init__(
        self,
        threads: int,
        cache: BenchmarkCache,
        backends: Sequence[Backend] = ("onnxruntime", "openvino"),
        *,
        reduced: bool = True,
        passed: Passed | None = None,
        benchmark: Benchmark = benchmark_backends,
        sessions: Callable[[Execution], MakeSession] = session_maker,
    ) -> None:
        self._threads = threads
        self._cache = cache
        self._backends = backends
        self._reduced = reduced
        self._passed = passed
        self._benchmark = benchmark
        self._sessions = sessions
        self._machine = f"{processor_and_versions(backends)}, {threads} threads"

    def __call__(self, folder: Path) -> VisionModel:
        """Open a package's folder: every hash is checked, and the golden image answered.

        Raises:
            PackageError: the package is bad, or the first backend cannot run it.
            ConfigError: the first backend cannot be loaded.
        """
        package = read_folder(folder)
        own, *others = self._candidates(package)
        if not others:
            return self._load(package, own)
        key = f"{package.digest}, {self._machine}, {', '.join(map(str, [own, *others]))}"
        cached = self._cache.get(key)
        try:
            if cached is not None and cached.settled:
                model, choice = self._reuse(package, cached, [own, *others])
            else:
                model, choice = self._measure(package, cached, [own, *others])
                trim_heap()  # What the others took stays with this process otherwise.
            if choice != cached:
                self._cache.put(key, choice)
        except ConfigError as error:  # OpenVINO cannot be loaded now. The benchmark runs once it can.
            model, choice = self._load(package, own), BackendChoice(own.backend, error.message)
        again = "" if choice.settled else "; measured once more when it is loaded again"
        name, chosen = package.manifest.name, choice.execution
        _log.info("%s runs in %s (%s)%s", name, chosen, choice.why, again, extra={"backend": str(chosen)})
        return model

    def _candidates(self, package: Package) -> list[Execution]:
        """How the package may be run, the one that is taken without a measurement first."""
        first, *others = executions(package.manifest, self._backends, reduced=self._reduced)
        if self._passed is None:
            return [first, *others]
        passed = self._passed(package.root)
        # A graph of its own is another program: what failed in a process of its own is not opened in this one.
        return [first, *(other for other in others if not other.reduced or str(other) in passed)]

    def _reuse(
        self, package: Package, cached: BackendChoice, candidates: Sequence[Execution]
    ) -> tuple[VisionModel, BackendChoice]:
        if cached.execution == candidates[0]:
            return self._load(package, candidates[0]), cached
        try:
            return self._load(package, cached.execution), cached
        except PackageError:  # It worked once. Measuring all again finds out, and logs, why it fails now.
            return self._measure(package, None, candidates)

    def _measure(
        self, package: Package, previous: BackendChoice | None, candidates: Sequence[Execution]
    ) -> tuple[VisionModel, BackendChoice]:
        own, *others = candidates
        models = {own: self._load(package, own)}
        golden = package.manifest.golden
        if golden is None or not (golden.detections or golden.probabilities):
            words = "no golden image with an answer is there to hold OpenVINO to"
            return models[own], BackendChoice(own.backend, words, settled=True)
        failed = []
        for other in others:
            try:
                models[other] = self._load(package, other)
            except PackageError as error:
                failed.append(f"{named(other)}: {error.message}")
            except ConfigError as error:
                if not other.reduced:
                    raise
                failed.append(f"{named(other)}: {error.message}")
        if len(models) == 1:
            return models[own], BackendChoice(own.backend, "; ".join(failed), settled=True)
        pixels = decode_image((package.root / golden.image).read_bytes())
        choice = choose_backend(self._benchmark(models, pixels, self._threads), previous)
        why = "; ".join([choice.why, *failed])
        return models[choice.execution], replace(choice, why=why)

    def _load(self, package: Package, execution: Execution) -> VisionModel:
        return load_model(package, self._threads, self._sessions(execution), execution)
