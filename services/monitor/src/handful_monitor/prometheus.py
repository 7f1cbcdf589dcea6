"""Requests and latency over time, as a Prometheus that scrapes serving has them."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from handful_core.connections import SHORT_LIVED
from handful_core.errors import UnavailableError
from handful_monitor.traffic import TrafficPoint, step_of

_SECONDS = 5
_REQUESTS = "sum(rate(handful_predictions_total{%s}[%ds]))"
_LATENCY = 'histogram_quantile(0.95, sum by (le) (rate(handful_stage_seconds_bucket{%sstage="total"}[%ds])))'


class Prometheus:
    """A Prometheus server.

    Args:
        uri: its address.
        transport: another transport than the network, for tests.
    """

    def __init__(self, uri: str, transport: httpx.BaseTransport | None = None) -> None:
        self._http = httpx.Client(
            base_url=uri.rstrip("/"), timeout=_SECONDS, transport=transport, trust_env=False, limits=SHORT_LIVED
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def points(self, model: str | None, hours: float) -> list[TrafficPoint]:
        """A line that reaches so many hours back; empty if Prometheus has no samples of it.

        Raises:
            UnavailableError: it does not answer as Prometheus does.
        """
        step, now = step_of(hours), datetime.now(UTC)
        label = f'model="{_escaped(model)}"' if model is not None else ""
        requests = self._range(_REQUESTS % (label, step), now, hours, step)
        latency = self._range(_LATENCY % (f"{label}," if label else "", step), now, hours, step)
        return [TrafficPoint(datetime.fromtimestamp(at, UTC), value, latency.get(at)) for at, value in requests.items()]

    def _range(self, query: str, now: datetime, hours: float, step: int) -> dict[float, float]:
        start = now - timedelta(hours=hours)
        parameters: dict[str, str | float] = {
            "query": query,
            "start": start.timestamp(),
            "end": now.timestamp(),
            "step": step,
        }
        try:
            answer: Any = self._http.get("/api/v1/query_range", params=parameters).raise_for_status().json()
            series = answer["data"]["result"]
            values = series[0]["values"] if series else []
            found = {float(at): float(value) for at, value in values}
        except (httpx.HTTPError, ValueError, KeyError, TypeError, IndexError) as error:
            raise UnavailableError(
                f"Prometheus does not answer ({type(error).__name__})", "correct HANDFUL_MONITOR_PROMETHEUS"
            ) from error
        return {at: value for at, value in found.items() if math.isfinite(value)}


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
