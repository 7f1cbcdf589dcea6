"""How busy serving is, told at each scrape."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from handful_serving.domain.queue import Queue


class Load(Collector):
    """The queue's length and the images that are worked on."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def collect(self) -> Iterable[Metric]:
        """The samples."""
        yield GaugeMetricFamily("handful_queue_length", "Images that wait.", value=self._queue.waiting)
        yield GaugeMetricFamily("handful_images_in_work", "Images that are worked on.", value=self._queue.busy)
