"""What happens, as Prometheus metrics. Labels are routes, models and fixed words, never what a client makes up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector

from handful_serving.adapters.metrics.load import Load
from handful_serving.adapters.metrics.model_info import ModelInfo
from handful_serving.adapters.metrics.predictions import PredictionMetrics
from handful_serving.domain.keys import Key
from handful_serving.domain.prediction import PredictionResult
from handful_serving.domain.queue import Queue
from handful_serving.domain.store import Loaded

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """One application's metrics, in a registry of their own: an `Observer` of the domain, and the API's counters."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._of_predictions = PredictionMetrics(self.registry)
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

    def watch(self, loaded: Callable[[], Iterable[Loaded]], is_champion: Callable[[Key], bool], queue: Queue) -> None:
        """Let every scrape tell which models are in memory, and how busy serving is.

        Args:
            loaded: the models in memory.
            is_champion: whether a version answers for its model.
            queue: where images wait.
        """
        self.registry.register(ModelInfo(loaded, is_champion))
        self.registry.register(Load(queue))

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def rejected(self, reason: str) -> None:
        """A request, an image of a batch or a live frame was refused; the reason is a fixed word."""
        self._rejects.labels(reason).inc()

    def predicted(self, prediction: PredictionResult) -> None:
        """An image was answered."""
        self._of_predictions.add(prediction)

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
