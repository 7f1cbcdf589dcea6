"""The monitor's metrics without a monitor: its names, labels and kinds, and values as a test wants them."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, start_http_server

_STREAM = ["model", "version", "source"]


class FakeMonitor:
    """Serves /metrics on a free port; one stream of `fingers` version 1."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.changed = Gauge("handful_drift_changed", "…", _STREAM, registry=registry)
        self.rows = Gauge("handful_drift_rows", "…", _STREAM, registry=registry)
        self.feature = Gauge("handful_drift_feature", "…", [*_STREAM, "feature"], registry=registry)
        self.at = Gauge("handful_drift_verdict_timestamp_seconds", "…", _STREAM, registry=registry)
        self.rounds = Counter("handful_monitor_rounds", "…", ["result"], registry=registry)
        self.last = Gauge("handful_monitor_last_round_timestamp_seconds", "…", registry=registry)
        self.mlflow = Gauge("handful_mlflow_up", "…", registry=registry)
        self.mlflow.set(1)
        self._registry = registry

    def verdict(self, *, changed: bool, source: str = "camera-1") -> None:
        """A round ends with a verdict."""
        stream = ("fingers", "1", source)
        self.changed.labels(*stream).set(changed)
        self.rows.labels(*stream).set(250)
        self.feature.labels(*stream, "brightness").set(3.5 if changed else 0.4)
        self.at.labels(*stream).set_to_current_time()
        for result in ("ok", "failed"):
            self.rounds.labels(result).inc()
        self.last.set(time.time())

    def __enter__(self) -> Self:
        self._server, self._thread = start_http_server(0, "127.0.0.1", self._registry)
        self.address = f"127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
