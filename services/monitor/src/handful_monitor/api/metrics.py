"""Verdicts and rounds as Prometheus metrics, read at each scrape from what stands."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from handful_monitor.domain.verdict import State
from handful_monitor.standing import Standing, StandingVerdict

_STREAM = ["model", "version", "source"]


def metrics_of(standing: Standing) -> CollectorRegistry:
    """A registry of the metrics of one application."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    registry.register(_Verdicts(standing))
    registry.register(_Rounds(standing))
    return registry


class _Verdicts(Collector):
    def __init__(self, standing: Standing) -> None:
        self._standing = standing

    def collect(self) -> Iterable[Metric]:
        """The newest verdict of each stream."""
        changed = GaugeMetricFamily("handful_drift_changed", "1 if a stream has changed.", labels=_STREAM)
        rows = GaugeMetricFamily("handful_drift_rows", "Rows of the window that was judged.", labels=_STREAM)
        feature = GaugeMetricFamily(
            "handful_drift_feature", "A feature's statistic divided by its threshold.", labels=[*_STREAM, "feature"]
        )
        at = GaugeMetricFamily("handful_drift_verdict_timestamp_seconds", "When the verdict was given.", labels=_STREAM)
        for found in self._standing.newest():
            labels = [found.stream.model, found.stream.version, found.stream.source]
            changed.add_metric(labels, found.document["verdict"] == State.CHANGED.value)
            rows.add_metric(labels, found.document["window"]["rows"])
            at.add_metric(labels, found.at.timestamp())
            for name, ratio in _ratios(found):
                feature.add_metric([*labels, name], ratio)
        return changed, rows, feature, at


class _Rounds(Collector):
    def __init__(self, standing: Standing) -> None:
        self._standing = standing

    def collect(self) -> Iterable[Metric]:
        """How the rounds went."""
        rounds = self._standing.rounds
        counted = CounterMetricFamily("handful_monitor_rounds", "Rounds that ended.", labels=["result"])
        counted.add_metric(["ok"], rounds.ok)
        counted.add_metric(["failed"], rounds.failed)
        yield counted
        if rounds.last is not None:
            yield GaugeMetricFamily(
                "handful_monitor_last_round_timestamp_seconds",
                "When the last round ended, ok or failed.",
                value=rounds.last.timestamp(),
            )
        if rounds.mlflow_up is not None:
            yield GaugeMetricFamily(
                "handful_mlflow_up", "1 if MLflow answered in the last round.", value=rounds.mlflow_up
            )


def _ratios(found: StandingVerdict) -> Iterable[tuple[str, float]]:
    for feature in found.document["features"]:
        if feature["threshold"] > 0:
            yield feature["name"], feature["value"] / feature["threshold"]
