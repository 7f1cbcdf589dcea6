"""Precisions below FP32: each is compared with FP32 on test images, and allowed only if it is proved to be as good.

The proof is the 95 % interval of what is lost, by a paired bootstrap over the images: its end must lie within the
tolerance. How fast each is on this machine is noted; serving measures for itself.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from handful_core.console import progress
from handful_core.errors import ConfigError, DataError
from handful_core.package import (
    SCHEMA_VERSION,
    Golden,
    GoldenTolerance,
    Loss,
    Package,
    ReducedPrecision,
    seen_by,
    write_package,
)
from handful_core.package.archive import describe_files
from handful_core.package.precision import MAX_SCORE_GAP, MIN_IOU, graph_files
from handful_core.runtime.benchmark import measure_in_turns
from handful_core.runtime.cpus import available_cpus, processor_name
from handful_core.runtime.execution import Execution, Reduced
from handful_core.runtime.model import VisionModel, golden_agreement, load_model
from handful_core.runtime.onnx import OnnxSession
from handful_core.runtime.openvino import OpenVinoSession, computes_bf16, is_installed
from handful_core.vision import agreement
from handful_core.vision.decode import decode_image
from handful_trainer.dataset.image_hashes import seen_images
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.packaging.quantization import (
    calibration_images,
    nncf_is_installed,
    quantize_by_nncf,
    quantize_by_onnxruntime,
    quantize_for_openvino,
)
from handful_trainer.tasks.base import Evaluation
from handful_trainer.tasks.bootstrap import Interval, interval, resamples

TOLERANCE = 0.005
"""Of mAP@0.5:0.95 or macro F1, that may be lost."""
MIN_IMAGES = 100
"""A percentile bootstrap of fewer is too narrow."""
INT8_GRAPH = "model.int8.onnx"
INT8_OPENVINO = "model.int8.xml"
FASTER = 1.1
"""`auto` takes only what is so many times as fast as FP32 here: the margin that serving asks for, too."""
_ROUNDS, _WARM_UP, _SECONDS = 40, 3, 20.0
Outcome = Literal["allowed", "refused", "too few images"]


@dataclass(frozen=True, slots=True)
class Trial:
    """A precision in a backend, beside FP32 in ONNX Runtime."""

    execution: Execution
    graph: str | None
    metric: str
    fp32: float
    value: float
    interval: Interval
    """95 %, of what is lost."""
    images: int
    tolerance: float
    golden: agreement.Agreement
    speed_up: float
    ms: float

    @property
    def loss(self) -> float:
        """What is lost of the metric; negative if it is better."""
        return self.fp32 - self.value

    @property
    def outcome(self) -> Outcome:
        """Whether it is proved to lose no more than the tolerance."""
        low, high = self.interval
        if not self.golden.within(MIN_IOU, MAX_SCORE_GAP) or low > self.tolerance:
            return "refused"
        if self.images >= MIN_IMAGES and high <= self.tolerance:
            return "allowed"
        return "too few images" if self.loss < self.tolerance else "refused"

    @property
    def reason(self) -> str:
        """In words."""
        low, high = self.interval
        span = f"95 % interval {_points(low)} to {_points(high)}"
        lost = f"it loses {_points(self.loss)} points of {self.metric} ({span})"
        if not self.golden.within(MIN_IOU, MAX_SCORE_GAP):
            return f"its answer to the golden image is too far from FP32's ({self.golden})"
        if self.outcome == "too few images":
            return f"{lost}: {self.images} test images are too few to say, about {self._images_needed()} would tell"
        verdict = "within" if self.outcome == "allowed" else "more than"
        return f"{lost}, {verdict} the tolerance of {_points(self.tolerance)}"

    @property
    def name(self) -> str:
        """As people write it."""
        backend = {"openvino": "OpenVINO", "onnxruntime": "ONNX Runtime"}[self.execution.backend]
        return f"{str(self.execution.reduced).upper()} in {backend}"

    def verdict(self, *, taken: bool) -> str:
        """Why it is taken or not."""
        slow = self.outcome == "allowed" and not taken
        return f"{self.reason}, but no faster here" if slow else self.reason

    def row(self, *, taken: bool) -> tuple[str, ...]:
        """A line of the table."""
        low, high = self.interval
        outcome = "not taken" if self.outcome == "allowed" and not taken else self.outcome
        span = f"{_points(low)} to {_points(high)}"
        return self.name, _points(self.loss), span, str(self.images), f"{self.speed_up:.2f}", outcome

    def _images_needed(self) -> int:
        """The interval narrows with the root of the number of images."""
        half, room = self.interval[1] - self.loss, self.tolerance - self.loss
        return max(MIN_IMAGES, math.ceil(self.images * (half / room) ** 2 / 10) * 10)

    def entry(self) -> ReducedPrecision:
        """For the manifest."""
        return ReducedPrecision(
            precision=str(self.execution.reduced),
            backend=self.execution.backend,
            model=self.graph,
            loss=Loss(
                metric=self.metric,
                value=_rounded(self.loss),
                interval=(_rounded(self.interval[0]), _rounded(self.interval[1])),
                tolerance=self.tolerance,
                images=self.images,
            ),
            golden=_tolerance(self.golden),
            speed_up=round(self.speed_up, 3),
            processor=processor_name(),
            versions={name: version(name) for name in _MAKERS[self.execution.backend] if _is_there(name)},
        )

    def as_json(self) -> dict[str, Any]:
        """What `handful package --json` prints of it."""
        return {
            "backend": self.execution.backend,
            "precision": self.execution.reduced,
            "outcome": self.outcome,
            "reason": self.reason,
            "metric": self.metric,
            "fp32": self.fp32,
            "value": self.value,
            "loss": self.loss,
            "interval": list(self.interval),
            "tolerance": self.tolerance,
            "images": self.images,
            "speed_up": self.speed_up,
            "ms": self.ms,
        }


_MAKERS = {"openvino": ("openvino", "nncf"), "onnxruntime": ("onnxruntime", "nncf")}


def _is_there(name: str) -> bool:
    return name != "nncf" or nncf_is_installed()


def _points(value: float) -> str:
    return f"{100 * value:.2f}"


def _rounded(value: float) -> float:
    return round(value, 6)


def _tolerance(found: agreement.Agreement) -> GoldenTolerance:
    """Twice what was found here, since other processors round otherwise, and at least FP32's."""
    gap = min(MAX_SCORE_GAP, max(agreement.MAX_SCORE_GAP, 2 * found.worst_score_gap))
    iou = max(MIN_IOU, min(agreement.MIN_IOU, 1 - 2 * (1 - found.worst_iou)))
    return GoldenTolerance(score_gap=round(gap, 4), iou=round(iou, 4))


def wanted(precision: Reduced | Literal["auto"]) -> list[Reduced]:
    """The precisions that are tried.

    Raises:
        ConfigError: BF16 is asked for by name, and is not to be had here.
    """
    if precision == "int8":
        return ["int8"]
    available = is_installed() and computes_bf16()
    if precision == "bf16" and not available:
        if not is_installed():
            raise ConfigError("BF16 needs OpenVINO, which is not installed", "install it with: pip install openvino")
        raise ConfigError("this processor does not compute in BF16, so nothing can be proved here", "try int8")
    if precision == "bf16":
        return ["bf16"]
    return ["bf16", "int8"] if available else ["int8"]


def try_precisions(
    package: Package,
    dataset: PreparedDataset,
    folder: Path,
    precisions: Sequence[Reduced],
    *,
    images: int,
    tolerance: float = TOLERANCE,
) -> tuple[Package, list[Trial]]:
    """Make a package's precisions and compare each with FP32.

    Args:
        package: FP32, with a golden image.
        dataset: its training images calibrate INT8, its test images judge.
        folder: a new one, which becomes a copy of the package with the graphs that were made.
        precisions: which.
        images: training images that calibrate.
        tolerance: of the task's first metric, that may be lost.

    Returns:
        The copy, which allows nothing yet, and what was found.

    Raises:
        ConfigError: the package is not FP32, or has no golden image with an answer.
        DataError: the dataset is of another task, or has no test images.
    """
    if package.manifest.precision != "fp32":
        raise ConfigError(f"this package is {package.manifest.precision} already", "name an FP32 package")
    _golden(package)
    if dataset.task.package_task != package.manifest.task:
        raise DataError(f"{dataset.root} is a dataset for {dataset.task.name}", "name one of the package's task")
    shutil.copytree(package.root, folder)
    _keep_graphs(folder, ())
    candidates: list[tuple[Execution, str | None]] = []
    if "bf16" in precisions:
        candidates.append((Execution("openvino", "bf16"), None))
    if "int8" in precisions:
        calibrate = calibration_images(dataset, images)
        by = quantize_by_nncf if nncf_is_installed() else quantize_by_onnxruntime
        by(package, folder / INT8_GRAPH, calibrate)
        if nncf_is_installed():
            quantize_for_openvino(package, folder / INT8_OPENVINO, calibrate)
            candidates.append((Execution("openvino", "int8"), INT8_OPENVINO))
        elif is_installed():
            candidates.append((Execution("openvino", "int8"), INT8_GRAPH))
        candidates.append((Execution("onnxruntime", "int8"), INT8_GRAPH))
    update = {"precisions": (), "files": describe_files(folder)}
    copy = write_package(folder, package.manifest.model_copy(update=update))
    plain = load_model(copy)
    judged = dataset.task.evaluate(plain, dataset, "test")
    return copy, [_trial(copy, dataset, plain, judged, *each, tolerance) for each in candidates]


def allow(package: Package, dataset: PreparedDataset, trials: Sequence[Trial]) -> Package:
    """The package of `try_precisions`, which allows what these trials proved.

    Args:
        package: in the folder.
        dataset: what calibrated has been seen.
        trials: allowed ones.
    """
    folder = package.root
    update: dict[str, Any] = {"precisions": tuple(trial.entry() for trial in trials)}
    graphs = [trial.graph for trial in trials if trial.graph]
    _keep_graphs(folder, graphs)
    if graphs:
        # Calibrating is a training, too.
        update["seen"] = (seen_by(package) | seen_images(dataset)).write(folder)
    update |= {"schema_version": SCHEMA_VERSION, "files": describe_files(folder)}
    return write_package(folder, package.manifest.model_copy(update=update))


def _keep_graphs(folder: Path, graphs: Collection[str]) -> None:
    """Remove the INT8 graphs but these."""
    unused = [graph for graph in (INT8_GRAPH, INT8_OPENVINO) if graph not in graphs]
    for name in chain.from_iterable(map(graph_files, unused)):
        (folder / name).unlink(missing_ok=True)


def _trial(
    package: Package,
    dataset: PreparedDataset,
    plain: VisionModel,
    judged: Evaluation,
    execution: Execution,
    graph: str | None,
    tolerance: float,
) -> Trial:
    model = VisionModel(package, _session(package, execution, graph))
    metric = dataset.task.metrics[0]
    evaluation = dataset.task.evaluate(model, dataset, "test")
    weights = resamples(judged.images)
    lost = interval(judged.resampled(metric, weights) - evaluation.resampled(metric, weights))
    golden = _golden(package)
    pixels = decode_image((package.root / golden.image).read_bytes())
    found = golden_agreement(model, golden, pixels, MAX_SCORE_GAP)
    speed_up, ms = _speed(plain, model, judged.example)
    fp32, value = judged.metrics()[metric], evaluation.metrics()[metric]
    return Trial(execution, graph, metric, fp32, value, lost, judged.images, tolerance, found, speed_up, ms)


def _golden(package: Package) -> Golden:
    golden = package.manifest.golden
    if golden is None or not (golden.detections or golden.probabilities):
        raise ConfigError("the package has no golden image with an answer", "give it one with --golden")
    return golden


def _session(package: Package, execution: Execution, graph: str | None) -> OpenVinoSession | OnnxSession:
    """Not by `session_maker`: the package does not allow it yet."""
    if execution.backend == "openvino":
        return OpenVinoSession(package, available_cpus(), bf16=execution.reduced == "bf16", graph=graph)
    return OnnxSession(package, available_cpus(), graph=graph)


def _speed(plain: VisionModel, model: VisionModel, image: Path) -> tuple[float, float]:
    """How many times as fast, and the median of milliseconds."""
    pixels = decode_image(image.read_bytes())
    works = [partial(each.predict, pixels) for each in (plain, model)]
    with progress() as bar:
        task = bar.add_task(f"timing FP32 and {model.backend}", total=_WARM_UP + _ROUNDS)
        fp32, reduced = measure_in_turns(
            works,
            warm_up=_WARM_UP,
            rounds=_ROUNDS,
            budget=_SECONDS,
            min_rounds=5,
            after_round=lambda: bar.advance(task),
        )
    return fp32.median / reduced.median, reduced.median
