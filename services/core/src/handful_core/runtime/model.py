"""A model package, loaded: pixels in, a prediction out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from handful_core.errors import DataError
from handful_core.package import ExtraOutput, Golden, GoldenTolerance, Manifest, OutputLayout, Package, PredictionSets
from handful_core.package.errors import GoldenError, GraphError
from handful_core.profile.projection import read_projection
from handful_core.runtime.cpus import available_cpus
from handful_core.runtime.execution import Execution, reduced_precision
from handful_core.runtime.onnx import OnnxSession
from handful_core.runtime.session import Session
from handful_core.vision.agreement import MAX_SCORE_GAP, MIN_IOU, Agreement, compare_detections
from handful_core.vision.classification import explanation, in_set, softmax
from handful_core.vision.decode import Pixels, decode_image
from handful_core.vision.detections import Detections
from handful_core.vision.postprocess import PostprocessOptions, postprocess
from handful_core.vision.prediction import Prediction
from handful_core.vision.preprocess import Floats, ResizeTransform, to_input
from handful_core.vision.reference import read_reference

_EXACT = GoldenTolerance(score_gap=MAX_SCORE_GAP, iou=MIN_IOU)
"""Of a package's own precision, in every backend."""


class VisionModel:
    """Runs a package. Safe to use from several threads at once.

    Args:
        package: a checked package.
        session: what runs its graph.
        execution: how it does; in the package's own precision if None.

    Raises:
        DamagedPackageError: what the package says of the limits of its model cannot be read.
    """

    def __init__(self, package: Package, session: Session, execution: Execution | None = None) -> None:
        self.package = package
        self._session = session
        self._execution = execution
        self.reduced = reduced_precision(package.manifest, execution) if execution else None
        """What the package says of the precision that it is run in, if that is below its own."""
        unlike = package.manifest.out_of_distribution
        self._reference = read_reference(package, unlike) if unlike else None
        profile = package.manifest.profile
        self._projection = read_projection(package, profile) if profile else None

    @property
    def manifest(self) -> Manifest:
        """The package's manifest."""
        return self.package.manifest

    @property
    def backend(self) -> str:
        """What runs its graph: `onnxruntime` or `openvino`."""
        return self._session.backend

    @property
    def execution(self) -> str:
        """Backend and, if it is below the package's own, precision."""
        return str(self._execution or self.backend)

    @property
    def precision(self) -> str:
        """In which precision it is run: `fp32`, `fp16`, `bf16` or `int8`."""
        return self.reduced.precision if self.reduced else self.manifest.precision

    def postprocess_options(self, confidence: float | None = None, iou: float | None = None) -> PostprocessOptions:
        """The manifest's options; a threshold that is not None replaces the manifest's."""
        limits = self.manifest.thresholds
        return PostprocessOptions(
            confidence=limits.confidence if confidence is None else confidence,
            iou=limits.iou if iou is None else iou,
            max_detections=limits.max_detections,
            class_agnostic=limits.class_agnostic,
        )

    def predict(
        self, pixels: Pixels, confidence: float | None = None, iou: float | None = None, *, explain: bool = False
    ) -> Prediction:
        """Predict for one image.

        Args:
            pixels: (height, width, 3) uint8, BGR, upright.
            confidence: only boxes that score higher, or below which a class is uncertain; the manifest's if None.
            iou: overlap above which two boxes are one object; the manifest's threshold if None.
            explain: say where a classifier sees its class, if the graph can.
        """
        started = time.perf_counter()
        tensor, transform = to_input(pixels, self.manifest.input)
        prepared = time.perf_counter()
        extra = self._extra_outputs(explain=explain)
        outputs = self._session.run_outputs(tensor, extra) if extra else [self._session.run(tensor)]
        inferred = time.perf_counter()
        prediction = self._answer(outputs, transform, self.postprocess_options(confidence, iou))
        timings = {
            "preprocess": (prepared - started) * 1e3,
            "inference": (inferred - prepared) * 1e3,
            "postprocess": (time.perf_counter() - inferred) * 1e3,
        }
        return replace(prediction, timings=timings)

    def raw(self, pixels: Pixels) -> tuple[Floats, Floats | None]:
        """What the graph says of an image, as it comes: for measuring.

        Args:
            pixels: (height, width, 3) uint8, BGR, upright.

        Returns:
            The output without its first dimension, and the embedding, (d,), if the graph has one.
        """
        extra = self.manifest.output.embedding
        tensor, _ = to_input(pixels, self.manifest.input)
        outputs = self._session.run_outputs(tensor, [extra] if extra else [])
        return outputs[0][0], outputs[1][0] if extra else None

    def _extra_outputs(self, *, explain: bool) -> list[ExtraOutput]:
        """What else is read of a run: the embedding if there is something to compare it with, maps if asked for."""
        output = self.manifest.output
        needed = self._reference or self._projection
        wanted = [output.embedding if needed else None, output.class_maps if explain else None]
        return [each for each in wanted if each is not None]

    def _answer(self, outputs: list[Floats], transform: ResizeTransform, options: PostprocessOptions) -> Prediction:
        output, *rest = outputs
        embedding = rest.pop(0)[0] if self._reference or self._projection else None
        if self.manifest.task == "classify":
            prediction = self._classified(output, rest, transform, options.confidence)
        else:
            found = self._boxes(output, transform, options)
            count = found.count(self.manifest.classes, self.manifest.counts) if self.manifest.counts else None
            prediction = Prediction(found, count)
        return prediction if embedding is None else self._placed(prediction, embedding)

    def _placed(self, prediction: Prediction, embedding: Floats) -> Prediction:
        """With where its embedding, (d,), lies: how far from the training images, where along the profile's axes."""
        limit = self.manifest.out_of_distribution
        distance = self._reference.distance(embedding) if self._reference else None
        return replace(
            prediction,
            distance=distance,
            out_of_distribution=None if distance is None or limit is None else distance > limit.distance,
            projected=self._projection(embedding) if self._projection else None,
        )

    def _classified(
        self, output: Floats, maps: list[Floats], transform: ResizeTransform, confidence: float
    ) -> Prediction:
        """A classifier's answer, and what its package knows of its limits."""
        manifest = self.manifest
        probabilities = _probabilities(output, manifest)
        first = int(np.argmax(probabilities))
        spec, size = manifest.output.class_maps, (manifest.input.width, manifest.input.height)
        return Prediction(
            probabilities=probabilities,
            uncertain=bool(probabilities[first] < confidence),
            prediction_set=_prediction_set(probabilities, manifest.prediction_sets),
            explanation=explanation(maps[0][0], first, transform, size, exact=spec.exact) if maps and spec else None,
        )

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
    execution: Execution | None = None,
) -> VisionModel:
    """Load a package and run it on its golden image, or on a grey one: the first run is the slow one.

    Args:
        package: a checked package.
        threads: processors that one prediction may use; all that this process may use if None.
        session_factory: what runs the graph.
        execution: how it does; in the package's own precision if None.

    Raises:
        GraphError: the graph disagrees with the manifest.
        GoldenError: the prediction for the golden image is not the expected one.
    """
    model = VisionModel(package, session_factory(package, threads or available_cpus()), execution)
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
    tolerance = model.reduced.golden if model.reduced else _EXACT
    agreement = golden_agreement(model, golden, pixels, tolerance.score_gap)
    if not agreement.within(tolerance.iou, tolerance.score_gap):
        where = f" in {model.precision}" if model.reduced else ""
        raise GoldenError(
            f"model {model.manifest.name} does not give the expected answer on its golden image{where} ({agreement})",
            "package it again with the ONNX Runtime version that serves it",
        )


def golden_agreement(model: VisionModel, golden: Golden, pixels: Pixels, score_gap: float) -> Agreement:
    """How a model's prediction agrees with the golden image's expected one.

    Args:
        model: the model.
        golden: what is expected.
        pixels: the golden image.
        score_gap: a box within this of the threshold may lack its partner.
    """
    prediction = model.predict(pixels, confidence=max(0.0, golden.confidence - score_gap))
    if golden.probabilities is not None and prediction.probabilities is not None:
        gap = float(np.max(np.abs(np.array(golden.probabilities, np.float32) - prediction.probabilities)))
        return Agreement(matched=0, unmatched=0, worst_iou=1.0, worst_score_gap=gap)
    expected = Detections(
        np.array([d.box for d in golden.detections], np.float32).reshape(-1, 4),
        np.array([d.confidence for d in golden.detections], np.float32),
        np.array([d.class_id for d in golden.detections], np.int64),
    )
    return compare_detections(expected, prediction.detections, golden.confidence, score_gap)


def _check_classes(found: Detections, manifest: Manifest) -> None:
    """The shape (1, k, 6) does not tell how many classes a graph knows."""
    if not np.all((found.classes >= 0) & (found.classes < len(manifest.classes))):
        raise GraphError(
            f"the graph of model {manifest.name} answers with a class that its manifest does not name",
            "package the model again",
        )


def _probabilities(output: Floats, manifest: Manifest) -> Floats:
    values: Floats = output[0]
    return softmax(values) if manifest.output.head is OutputLayout.LOGITS else values


def _prediction_set(probabilities: Floats, spec: PredictionSets | None) -> tuple[int, ...] | None:
    if spec is None:
        return None
    members = np.flatnonzero(in_set(probabilities, spec.probability))
    return tuple(sorted(members.tolist(), key=lambda class_id: -probabilities[class_id]))
