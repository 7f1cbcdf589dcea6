"""What predictions give: stages, confidences, classes, faces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

from prometheus_client import CollectorRegistry, Counter, Histogram

from handful_serving.domain.keys import Key
from handful_serving.domain.prediction import PredictionResult

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SHARES = tuple(tenth / 10 for tenth in range(1, 11))


class PredictionMetrics:
    """Counts predictions."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._stages = Histogram(
            "handful_stage_seconds",
            "Time of each stage of a prediction.",
            ["model", "stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        version = ["model", "version"]
        self._predictions = Counter("handful_predictions", "Images that were answered.", version, registry=registry)
        self._empty = Counter(
            "handful_predictions_empty", "Images in which a detector found nothing.", version, registry=registry
        )
        self._confidence = Histogram(
            "handful_confidence",
            "Confidence of detections, or of a classifier's first class.",
            version,
            buckets=_SHARES,
            registry=registry,
        )
        self._detections = Counter(
            "handful_detections", "Detections, or images by a classifier's first class.", [*version, "class"],
            registry=registry,
        )  # fmt: skip
        self._faces = Counter("handful_faces_blurred", "Faces that were blurred.", registry=registry)

        self._known: dict[Key, _Version] = {}

    def add(self, prediction: PredictionResult) -> None:
        """An image was answered."""
        version = self._known.get(prediction.key) or self._new(prediction.key)
        version.predictions.inc()
        for stage, milliseconds in prediction.timings.items():
            version.stage(stage).observe(milliseconds / 1e3)
        if prediction.outcome.faces:
            self._faces.inc(prediction.outcome.faces)
        found = _found(prediction)
        if not found:
            version.empty.inc()
        for class_id, confidence in found:
            version.confidence.observe(confidence)
            version.detections(prediction.manifest.classes[class_id]).inc()

    def _new(self, key: Key) -> _Version:
        name, number = key.name, str(key.version)
        version = self._known[key] = _Version(
            predictions=self._predictions.labels(name, number),
            empty=self._empty.labels(name, number),
            confidence=self._confidence.labels(name, number),
            stage=cache(partial(self._stages.labels, name)),
            detections=cache(partial(self._detections.labels, name, number)),
        )
        return version


@dataclass(frozen=True, slots=True)
class _Version:
    """A version's metrics: to find them by their labels takes longer than to count."""

    predictions: Counter
    empty: Counter
    confidence: Histogram
    stage: Callable[[str], Histogram]
    detections: Callable[[str], Counter]


def _found(prediction: PredictionResult) -> list[tuple[int, float]]:
    """Class ids and confidences."""
    answer = prediction.answer
    if answer.top is not None:
        return [answer.top]
    return list(zip(answer.detections.classes.tolist(), answer.detections.scores.tolist(), strict=True))
