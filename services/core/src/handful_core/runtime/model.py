"""A model package, loaded: pixels in, a prediction out."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from handful_core.errors import DataError
from handful_core.package import Golden, Manifest, OutputLayout, Package
from handful_core.package.errors import GoldenError, GraphError
from handful_core.runtime.cpus import available_cpus
from handful_core.runtime.onnx import OnnxSession
from handful_core.runtime.session import Session
from handful_core.vision.agreement import MAX_SCORE_GAP, compare_detections
from handful_core.vision.decode import Pixels, decode_image
from handful_core.vision.detections import Detections
from handful_core.vision.postprocess import PostprocessOptions, postprocess
from handful_core.vision.prediction import Prediction
from handful_core.vision.preprocess import Floats, ResizeTransform, to_input


class VisionModel:
    """Runs a package. Safe to use from several threads at once.

    Args:
        package: a checked package.
        session: what runs its graph.
    """

    def __init__(self, package: Package, session: Session) -> None:
        self.package = package
        self._session = session

    @property
    def manifest(self) -> Manifest:
        """The package's manifest."""
        return self.package.manifest

    @property
    def backend(self) -> str:
        """What runs its graph: `onnxruntime` or `openvino`."""
        return self._session.backend

    def postprocess_options(self, confidence: float | None = None, iou: float | None = None) -> PostprocessOptions:
        """The manifest's options; a threshold that is not None replaces the manifest's."""
        limits = self.manifest.thresholds
        return PostprocessOptions(
            confidence=limits.confidence if confidence is None else confidence,
            iou=limits.iou if iou is None else iou,
            max_detections=limits.max_detections,
            class_agnostic=limits.class_agnostic,
        )

    def predict(self, pixels: Pixels, confidence: float | None = None, iou: float | None = None) -> Prediction:
        """Predict for one image.

        Args:
            pixels: (height, width, 3) uint8, BGR, upright.
            confidence: only boxes that score higher; the manifest's threshold if None.
            iou: overlap above which two boxes are one object; the manifest's threshold if None.
        """
        started = time.perf_counter()
        tensor, transform = to_input(pixels, self.manifest.input)
        prepared = time.perf_counter()
        output = self._session.run(tensor)
        inferred = time.perf_counter()
        if self.manifest.task == "classify":
            found, count, probabilities = Detections.empty(), None, _probabilities(output, self.manifest)
        else:
            found = self._boxes(output, transform, self.postprocess_options(confidence, iou))
            count = found.count(self.manifest.classes, self.manifest.counts) if self.manifest.counts else None
            probabilities = None
        timings = {
            "preprocess": (prepared - started) * 1e3,
            "inference": (inferred - prepared) * 1e3,
            "postprocess": (time.perf_counter() - inferred) * 1e3,
        }
        return Prediction(found, count, probabilities, timings)

    def detect(self, pixels: Pixels, *options: PostprocessOptions) -> list[Detections]:
        """Run a detector once and postprocess its output in several ways: for measuring.

        Args:
            pixels: (height, width, 3) uint8, BGR, upright.
            options: each gives one set of detections, in this order.
        """
        tensor, transform = to_input(pixels, self.manifest.input)
        output = self._session.run(tensor)
        return [self._boxes(output, transform, each) for each in options]

    def _boxes(self, output: Floats, transform: ResizeTransform, options: PostprocessOptions) -> Detections:
        found = postprocess(output, self.manifest.output.head, options)
        if not len(found):
            return found
        _check_classes(found, self.manifest)
        return Detections(transform.to_image(found.boxes), found.scores, found.classes)


def load_model(
    package: Package,
    threads: int | None = None,
    session_factory: Callable[[Package, int], Session] = OnnxSession,
) -> VisionModel:
    """Load a package and run it on its golden image, or on a grey one: the first run is the slow one.

    Args:
        package: a checked package.
        threads: processors that one prediction may use; all that this process may use if None.
        session_factory: what runs the graph.

    Raises:
        GraphError: the graph disagrees with the manifest.
        GoldenError: the prediction for the golden image is not the expected one.
    """
    model = VisionModel(package, session_factory(package, threads or available_cpus()))
    if package.manifest.golden is not None:
        check_golden(model, package.manifest.golden)
    else:
        spec = package.manifest.input
        model.predict(np.full((spec.height, spec.width, 3), spec.pad, np.uint8))
    return model


def check_golden(model: VisionModel, golden: Golden) -> None:
    """Compare a model's prediction for its golden image with the expected one.

    Raises:
        GoldenError: the image cannot be read, or the prediction differs.
    """
    try:
        pixels = decode_image((model.package.root / golden.image).read_bytes())
    except DataError as error:
        raise GoldenError(
            f"the golden image of model {model.manifest.name} cannot be read ({error.message})"
        ) from error
    prediction = model.predict(pixels, confidence=golden.confidence - MAX_SCORE_GAP)
    if golden.probabilities is not None and prediction.probabilities is not None:
        gap = float(np.max(np.abs(np.array(golden.probabilities, np.float32) - prediction.probabilities)))
        agrees, how = gap <= MAX_SCORE_GAP, f"worst gap {gap:.4f}"
    else:
        expected = Detections(
            np.array([d.box for d in golden.detections], np.float32).reshape(-1, 4),
            np.array([d.confidence for d in golden.detections], np.float32),
            np.array([d.class_id for d in golden.detections], np.int64),
        )
        agreement = compare_detections(expected, prediction.detections, golden.confidence)
        agrees, how = agreement.ok, str(agreement)
    if not agrees:
        raise GoldenError(
            f"model {model.manifest.name} does not give the expected answer on its golden image ({how})",
            "package it again with the ONNX Runtime version that serves it",
        )


def _check_classes(found: Detections, manifest: Manifest) -> None:
    """The shape (1, k, 6) does not tell how many classes a graph knows."""
    if not np.all((found.classes >= 0) & (found.classes < len(manifest.classes))):
        raise GraphError(
            f"the graph of model {manifest.name} answers with a class that its manifest does not name",
            "package the model again",
        )


def _probabilities(output: Floats, manifest: Manifest) -> Floats:
    values: Floats = output[0]
    if manifest.output.head is OutputLayout.LOGITS:
        powers = np.exp(values - np.max(values))
        values = np.asarray(powers / np.sum(powers), np.float32)
    return values
