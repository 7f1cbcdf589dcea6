"""What predictions give: stages, confidences, classes, faces."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from handful_serving.domain.prediction import Prediction

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

    def add(self, prediction: Prediction) -> None:
        """An image was answered."""
        name, version = prediction.key.name, str(prediction.key.version)
        self._predictions.labels(name, version).inc()
        for stage, milliseconds in prediction.timings.items():
            self._stages.labels(name, stage).observe(milliseconds / 1e3)
        self._faces.inc(prediction.outcome.faces)
        found = _found(prediction)
        if not found:
            self._empty.labels(name, version).inc()
        for class_id, confidence in found:
            self._confidence.labels(name, version).observe(confidence)
            self._detections.labels(name, version, prediction.manifest.classes[class_id]).inc()


def _found(prediction: Prediction) -> list[tuple[int, float]]:
    """Class ids and confidences."""
    answer = prediction.answer
    if answer.top is not None:
        return [answer.top]
    return list(zip(answer.detections.classes.tolist(), answer.detections.scores.tolist(), strict=True))
