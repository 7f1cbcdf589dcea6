"""What happens, as Prometheus metrics. Labels are routes, models and fixed words, never what a client makes up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from handful_serving.domain.keys import Key
from handful_serving.domain.store import Loaded

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """One application's metrics, in a registry of their own: an `Observer` of the domain, and the API's counters."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._requests = Counter(
            "handful_requests", "Requests that were answered.", ["method", "route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "handful_request_seconds", "Time to answer.", ["route"], buckets=_SECONDS, registry=self.registry
        )
        self._stages = Histogram(
            "handful_stage_seconds",
            "Time of each stage of a prediction.",
            ["model", "stage"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._predictions = Counter(
            "handful_predictions", "Images that were answered.", ["model", "version"], registry=self.registry
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

    def watch(self, loaded: Callable[[], Iterable[Loaded]], is_champion: Callable[[Key], bool]) -> None:
        """Let every scrape tell which models are in memory.

        Args:
            loaded: the models in memory.
            is_champion: whether a version answers for its model.
        """
        self.registry.register(_ModelInfo(loaded, is_champion))

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def predicted(self, key: Key, timings: Mapping[str, float]) -> None:
        """An image was answered."""
        self._predictions.labels(key.name, str(key.version)).inc()
        for stage, milliseconds in timings.items():
            self._stages.labels(key.name, stage).observe(milliseconds / 1e3)

    def reloaded(self, name: str, outcome: str, reason: str) -> None:
        """A version was loaded, refused, or could not be loaded."""
        self._reloads.labels(name, outcome, reason).inc()

    def registry_answered(self, *, reachable: bool) -> None:
        """The registry did or did not answer."""
        self._reachable.set(reachable)
        if reachable:
            self._contact.set(time.time())


class _ModelInfo(Collector):
    def __init__(self, loaded: Callable[[], Iterable[Loaded]], is_champion: Callable[[Key], bool]) -> None:
        self._loaded = loaded
        self._is_champion = is_champion

    def collect(self) -> Iterable[Metric]:
        """One sample for each model in memory."""
        labels = ["model", "version", "task", "architecture", "digest", "state"]
        family = GaugeMetricFamily("handful_model_info", "A model in memory.", labels=labels)
        for loaded in self._loaded():
            manifest = loaded.model.manifest
            state = "served" if self._is_champion(loaded.key) else "loaded"
            values = [loaded.key.name, str(loaded.key.version), manifest.task, manifest.architecture]
            family.add_metric([*values, loaded.digest[:12], state], 1)
        yield family
