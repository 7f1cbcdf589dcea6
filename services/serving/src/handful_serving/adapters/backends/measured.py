"""`auto`: the backend that is the faster one for a package, here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import onnxruntime

from handful_core.errors import ConfigError, PackageError
from handful_core.package import Package
from handful_core.package.archive import read_folder
from handful_core.runtime.cpus import processor_name
from handful_core.runtime.model import VisionModel, load_model
from handful_core.runtime.openvino import OpenVinoSession, installed_version
from handful_core.runtime.session import Session
from handful_core.vision.decode import Pixels, decode_image
from handful_serving.adapters.backends.memo import Memo
from handful_serving.adapters.backends.race import race
from handful_serving.domain.backends import Backend, Choice, Pace, choose

_log = logging.getLogger(__name__)
MakeSession = Callable[[Package, int], Session]
Measure = Callable[[Mapping[Backend, VisionModel], Pixels, int], dict[Backend, Pace]]


class MeasuredOpener:
    """Opens packages in ONNX Runtime, or in OpenVINO where that was measured to be faster and gives the golden answer.

    It measures until two measurements, of two loads, agree: one alone may have met a machine that was busy.

    Args:
        threads: processors that one inference may use, and images that are worked on at once.
        memo: what was measured before.
        openvino: OpenVINO.
        measure: tells how fast each is.
    """

    def __init__(
        self, threads: int, memo: Memo, openvino: MakeSession = OpenVinoSession, measure: Measure = race
    ) -> None:
        self._threads = threads
        self._memo = memo
        self._openvino = openvino
        self._pace = measure
        versions = f"ONNX Runtime {onnxruntime.__version__}, OpenVINO {installed_version()}"
        self._machine = f"{processor_name()}, {threads} threads, {versions}"

    def __call__(self, folder: Path) -> VisionModel:
        """Open a package's folder: every hash is checked, and the golden image answered.

        Raises:
            PackageError: the package is bad, or ONNX Runtime cannot run it.
        """
        package = read_folder(folder)
        key = f"{package.digest}, {self._machine}"
        known = self._memo.find(key)
        try:
            model, choice = self._recall(package, known) if known and known.settled else self._measure(package, known)
            if choice != known:
                self._memo.note(key, choice)
        except ConfigError as error:  # OpenVINO cannot be loaded: once it can, it is measured.
            model, choice = self._in_onnxruntime(package), Choice("onnxruntime", error.message)
        again = "" if choice.settled else "; measured once more when it is loaded again"
        name = package.manifest.name
        _log.info("%s runs in %s (%s)%s", name, choice.backend, choice.why, again, extra={"backend": choice.backend})
        return model

    def _recall(self, package: Package, known: Choice) -> tuple[VisionModel, Choice]:
        if known.backend == "onnxruntime":
            return self._in_onnxruntime(package), known
        try:
            return self._in_openvino(package), known
        except PackageError:  # It once could; why it cannot now is told by trying both.
            return self._measure(package, None)

    def _measure(self, package: Package, before: Choice | None) -> tuple[VisionModel, Choice]:
        model = self._in_onnxruntime(package)
        golden = package.manifest.golden
        if golden is None or not (golden.detections or golden.probabilities):
            return model, Choice(
                "onnxruntime", "no golden image with an answer is there to hold OpenVINO to", settled=True
            )
        try:
            other = self._in_openvino(package)
        except PackageError as error:
            return model, Choice("onnxruntime", f"OpenVINO: {error.message}", settled=True)
        pixels = decode_image((package.root / golden.image).read_bytes())
        paces = self._pace({"onnxruntime": model, "openvino": other}, pixels, self._threads)
        choice = choose(paces["onnxruntime"], paces["openvino"], before)
        return (other if choice.backend == "openvino" else model), choice

    def _in_onnxruntime(self, package: Package) -> VisionModel:
        return load_model(package, self._threads)

    def _in_openvino(self, package: Package) -> VisionModel:
        return load_model(package, self._threads, self._openvino)
