"""Which models are in memory, told at each scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from handful_serving.domain.keys import Key
from handful_serving.domain.store import Loaded


class ModelInfo(Collector):
    """One sample for each model in memory, with its size.

    Args:
        loaded: the models in memory.
        is_champion: whether a version answers for its model.
    """

    def __init__(self, loaded: Callable[[], Iterable[Loaded]], is_champion: Callable[[Key], bool]) -> None:
        self._loaded = loaded
        self._is_champion = is_champion

    def collect(self) -> Iterable[Metric]:
        """The samples."""
        labels = ["model", "version", "task", "architecture", "digest", "backend", "state"]
        info = GaugeMetricFamily("handful_model_info", "A model in memory.", labels=labels)
        memory = GaugeMetricFamily(
            "handful_model_memory_bytes", "What loading a model took.", labels=["model", "version"]
        )
        for loaded in self._loaded():
            manifest = loaded.model.manifest
            state = "served" if self._is_champion(loaded.key) else "loaded"
            name = [loaded.key.name, str(loaded.key.version)]
            info.add_metric(
                [*name, manifest.task, manifest.architecture, loaded.digest[:12], loaded.model.backend, state], 1
            )
            memory.add_metric(name, loaded.memory)
        yield info
        yield memory
