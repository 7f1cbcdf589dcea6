"""What happens, as Prometheus metrics. Labels are routes, models and fixed words, never what a client makes up."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector

from handful_serving.adapters.collectors import Container, Load, ModelInfo, PendingChampions
from handful_serving.concurrency.admission import AdmissionQueue
from handful_serving.domain.model_manager import ModelManager
from handful_serving.domain.model_ref import ModelVersion
from handful_serving.domain.prediction import PredictionResult

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_CONFIDENCES = tuple(tenth / 10 for tenth in range(1, 11))


class Metrics:
    """One application's metrics, in a registry of their own: an `Observer` of the domain, and the API's counters."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._prediction_metrics = PredictionMetrics(self.registry)
        self._requests = Counter(
            "handful_requests", "Requests that were answered.", ["method", "route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "handful_request_seconds", "Time to answer.", ["route"], buckets=_SECONDS, registry=self.registry
        )
        self._rejects = Counter(
            "handful_rejects", "Images and requests that were refused.", ["reason"], registry=self.registry
        )
        self._compared = Counter(
            "handful_shadow", "Challengers asked beside the champion.", ["model", "outcome"], registry=self.registry
        )
        self._reloads = Counter(
            "handful_model_reloads",
            "Versions that were loaded, refused for what is wrong with them, or failed for what is wrong around them.",
            ["model", "outcome", "reason"],
            registry=self.registry,
        )
        self._reachable = Gauge("handful_registry_reachable", "1 if MLflow answered last time.", registry=self.registry)
        self._contact = Gauge(
            "handful_registry_last_contact_timestamp_seconds", "When MLflow answered last.", registry=self.registry
        )
        self._live = Gauge("handful_live_connections", "Live connections.", registry=self.registry)
        self._frames = Counter(
            "handful_live_frames", "Live frames, by what became of them.", ["outcome"], registry=self.registry
        )

    def watch(self, manager: ModelManager, queue: AdmissionQueue, folder: Path) -> None:
        """Add gauges that are read at each scrape.

        Args:
            manager: has the models.
            queue: where images wait.
            folder: on the disk that must not run full.
        """
        for collector in (ModelInfo(manager), PendingChampions(manager), Load(queue), Container(folder)):
            self.registry.register(collector)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def rejected(self, reason: str) -> None:
        """A request, an image of a batch or a live frame was refused; the reason is a fixed word."""
        self._rejects.labels(reason).inc()

    def wants(self, model_version: ModelVersion, source: str) -> bool:  # noqa: ARG002  # No image counts here.
        """Metrics say nothing of images."""
        return False

    def predicted(self, result: PredictionResult) -> None:
        """An image was answered."""
        self._prediction_metrics.add(result)

    def compared(self, name: str, outcome: str) -> None:
        """A challenger was asked beside the champion."""
        self._compared.labels(name, outcome).inc()

    def reloaded(self, name: str, outcome: str, reason: str) -> None:
        """A version was loaded, refused, or could not be loaded."""
        self._reloads.labels(name, outcome, reason).inc()

    def registry_answered(self, *, reachable: bool) -> None:
        """The registry did or did not answer."""
        self._reachable.set(reachable)
        if reachable:
            self._contact.set(time.time())

    def live(self, connections: int) -> None:
        """So many live connections there are."""
        self._live.set(connections)

    def frame(self, outcome: str) -> None:
        """A live frame was `answered`, `dropped` for a newer one, or `failed`."""
        self._frames.labels(outcome).inc()


class PredictionMetrics:
    """Counts predictions: stages, confidences, classes, faces."""

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
        self._uncertain = Counter(
            "handful_predictions_uncertain",
            "Images whose most probable class is below the model's own threshold.",
            version,
            registry=registry,
        )
        self._unlike = Counter(
            "handful_predictions_out_of_distribution",
            "Images that are unlike all that a model was trained on.",
            version,
            registry=registry,
        )
        self._confidence = Histogram(
            "handful_confidence",
            "Confidence of detections, or of a classifier's first class.",
            version,
            buckets=_CONFIDENCES,
            registry=registry,
        )
        self._detections = Counter(
            "handful_detections", "Detections, or images by a classifier's first class.", [*version, "class"],
            registry=registry,
        )  # fmt: skip
        self._faces = Counter("handful_faces_blurred", "Faces that were blurred.", registry=registry)

        self._known: dict[ModelVersion, _Version] = {}

    def add(self, result: PredictionResult) -> None:
        """An image was answered."""
        version = self._known.get(result.model_version) or self._new(result.model_version)
        version.predictions.inc()
        for stage, milliseconds in result.timings.items():
            version.stage(stage).observe(milliseconds / 1e3)
        if result.image.faces:
            self._faces.inc(result.image.faces)
        found = _classes_and_confidences(result)
        if not found:
            version.empty.inc()
        if _is_uncertain(result):
            version.uncertain.inc()
        if result.prediction.out_of_distribution:
            version.unlike.inc()
        for class_id, confidence in found:
            version.confidence.observe(confidence)
            version.detections(result.manifest.classes[class_id]).inc()

    def _new(self, model_version: ModelVersion) -> _Version:
        name, number = model_version.name, str(model_version.version)
        version = self._known[model_version] = _Version(
            predictions=self._predictions.labels(name, number),
            empty=self._empty.labels(name, number),
            uncertain=self._uncertain.labels(name, number),
            unlike=self._unlike.labels(name, number),
            confidence=self._confidence.labels(name, number),
            stage=cache(partial(self._stages.labels, name)),
            detections=cache(partial(self._detections.labels, name, number)),
        )
        return version


@dataclass(frozen=True, slots=True)
class _Version:
    """A version's metrics, kept: looking them up by their labels takes longer than counting."""

    predictions: Counter
    empty: Counter
    uncertain: Counter
    unlike: Counter
    confidence: Histogram
    stage: Callable[[str], Histogram]
    detections: Callable[[str], Counter]


def _is_uncertain(result: PredictionResult) -> bool:
    """By the model's own threshold: a request may ask at another."""
    top = result.prediction.top
    return top is not None and top[1] < result.manifest.thresholds.confidence


def _classes_and_confidences(result: PredictionResult) -> list[tuple[int, float]]:
    """Class ids and confidences."""
    prediction = result.prediction
    if prediction.top is not None:
        return [prediction.top]
    return list(zip(prediction.detections.classes.tolist(), prediction.detections.scores.tolist(), strict=True))
