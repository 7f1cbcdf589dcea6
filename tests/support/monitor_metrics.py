"""The monitor's own metrics on a port of their own, with verdicts and rounds as a test wants them."""

from __future__ import annotations

from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from prometheus_client import start_http_server

from handful_monitor.api.metrics import metrics_of
from handful_monitor.domain.verdict import Stream
from handful_monitor.standing import RunReference, Standing

_STREAM = Stream("fingers", "1", "camera-1")


class MonitorMetrics:
    """Serves /metrics on a free port; of one stream, and nothing judges it."""

    def __init__(self) -> None:
        self._standing = Standing(7)
        self._standing.end_round("a round that failed")

    def verdict(self, *, changed: bool) -> None:
        """A round ends with a verdict."""
        feature = {"name": "brightness", "value": 3.5 if changed else 0.4, "threshold": 1.0, "changed": changed}
        word = "changed" if changed else "steady"
        document = {"verdict": word, "window": {"rows": 250}, "features": [feature]}
        self._standing.keep(_STREAM, datetime.now(UTC), document, RunReference("1", "2"))
        self._standing.end_round()

    def __enter__(self) -> Self:
        self._server, self._thread = start_http_server(0, "127.0.0.1", metrics_of(self._standing))
        self.address = f"127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
