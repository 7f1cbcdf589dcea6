"""Gauges that are read at each scrape: models in memory, champions that wait, the queue, the container and its disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from handful_core.runtime.cpus import available_cpus
from handful_serving.adapters import memory
from handful_serving.concurrency.admission import AdmissionQueue
from handful_serving.domain.model_manager import ModelManager
from handful_serving.domain.model_ref import ModelVersion
from handful_serving.domain.model_status import metrics_of
from handful_serving.domain.model_store import LoadedModel

_MODEL = ["model", "version"]


class ModelInfo(Collector):
    """Each model in memory: what it is, its size, its age, and how well it did on its test images."""

    def __init__(self, manager: ModelManager) -> None:
        self._manager = manager

    def collect(self) -> Iterable[Metric]:
        """The samples."""
        labels = [*_MODEL, "task", "architecture", "digest", "backend", "precision", "state"]
        info = GaugeMetricFamily("handful_model_info", "A model in memory.", labels=labels)
        size = GaugeMetricFamily("handful_model_memory_bytes", "What loading a model took.", labels=_MODEL)
        quality = GaugeMetricFamily(
            "handful_model_quality", "A model's metrics, as it was registered with.", labels=[*_MODEL, "metric"]
        )
        created = GaugeMetricFamily(
            "handful_model_created_timestamp_seconds", "When a version was registered.", labels=_MODEL
        )
        for loaded in list(self._manager.store):
            name = _labels(loaded.model_version)
            info.add_metric([*name, *self._description(loaded)], 1)
            size.add_metric(name, loaded.memory)
            for metric, value in metrics_of(loaded.record, loaded.model.manifest).items():
                quality.add_metric([*name, metric], value)
            if loaded.record.created is not None:
                created.add_metric(name, loaded.record.created.timestamp())
        return [info, size, quality, created]

    def _description(self, loaded: LoadedModel) -> list[str]:
        manifest = loaded.model.manifest
        state = "served" if self._manager.catalog.is_champion(loaded.model_version) else "loaded"
        how = [loaded.model.backend, loaded.model.precision, state]
        return [manifest.task, manifest.architecture, loaded.digest[:12], *how]


class PendingChampions(Collector):
    """Champions of the registry that do not answer yet. A gauge, since a counter's first step is never an increase."""

    def __init__(self, manager: ModelManager) -> None:
        self._manager = manager

    def collect(self) -> Iterable[Metric]:
        """The samples."""
        pending = GaugeMetricFamily(
            "handful_champion_pending",
            "1 for a champion that does not answer yet, or is refused.",
            labels=[*_MODEL, "reason"],
        )
        catalog = self._manager.catalog
        for name, wanted in catalog.targets().items():
            answering = catalog.champions.get(name)
            failure = self._manager.load_failures.get(ModelVersion(name, wanted))
            # A model that has no room is loaded when it is asked for: nothing is wrong then.
            if answering != wanted and (failure or answering):
                pending.add_metric([name, str(wanted), failure.kind if failure else "loading"], 1)
        return [pending]


class Load(Collector):
    """The queue's length and the images that are worked on."""

    def __init__(self, queue: AdmissionQueue) -> None:
        self._queue = queue

    def collect(self) -> Iterable[Metric]:
        """The samples."""
        yield GaugeMetricFamily("handful_queue_length", "Images that wait.", value=self._queue.waiting)
        yield GaugeMetricFamily("handful_queue_capacity", "Images that may wait.", value=self._queue.capacity)
        yield GaugeMetricFamily("handful_images_in_work", "Images that are worked on.", value=self._queue.busy)


class Container(Collector):
    """What this container, or this machine where there is none, has and uses.

    Args:
        folder: its file system is the one that is measured.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """The samples; none of what the system does not say."""
        yield GaugeMetricFamily("handful_cpus", "Processors that may be used.", value=available_cpus())
        yield GaugeMetricFamily(
            "handful_memory_bytes", "Memory in use, without what the system can take back.", value=memory.used()
        )
        if (limit := memory.available()) is not None:
            yield GaugeMetricFamily("handful_memory_limit_bytes", "Memory that may be used.", value=limit)
        try:
            disk = shutil.disk_usage(self._folder)
        except OSError:
            return
        yield GaugeMetricFamily("handful_disk_free_bytes", "Free on the home folder's disk.", value=disk.free)
        yield GaugeMetricFamily("handful_disk_size_bytes", "Size of the home folder's disk.", value=disk.total)


def _labels(model_version: ModelVersion) -> list[str]:
    return [model_version.name, str(model_version.version)]
