"""What MLflow kept of a training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from handful_core.registry.rest import API, Rest

_MOST_CURVES = 16
_MOST_POINTS = 1000

Curve = list[tuple[int, float]]
"""(step, value), by step."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run with its metrics."""

    run_id: str
    experiment_id: str
    name: str
    started: datetime | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    """The last value of each."""
    curves: Mapping[str, Curve] = field(default_factory=dict)
    """Those that were logged at several steps."""


def read_run(rest: Rest, run_id: str) -> Run:
    """Ask for a run: once, and once for each of its curves."""
    data = rest.get(f"{API}/runs/get", {"run_id": run_id})["run"]
    info, logged = data["info"], data.get("data", {}).get("metrics", [])
    # Only what has a later step than the first can have several values. The machine's load is no curve of a training.
    stepped = sorted(m["key"] for m in logged if int(m.get("step", 0)) > 0 and not m["key"].startswith("system/"))
    curves = {key: _curve(rest, run_id, key) for key in stepped[:_MOST_CURVES]}
    started = info.get("start_time")
    return Run(
        run_id=run_id,
        experiment_id=str(info["experiment_id"]),
        name=info.get("run_name", ""),
        started=datetime.fromtimestamp(int(started) / 1000, UTC) if started else None,
        metrics={m["key"]: float(m["value"]) for m in logged if _finite(m)},
        curves={key: points for key, points in curves.items() if len(points) > 1},
    )


def _curve(rest: Rest, run_id: str, key: str) -> Curve:
    query = {"run_id": run_id, "metric_key": key, "max_results": str(_MOST_POINTS)}
    found = rest.get(f"{API}/metrics/get-history", query).get("metrics", [])
    return sorted((int(m.get("step", 0)), float(m["value"])) for m in found if _finite(m))


def _finite(metric: Mapping[str, Any]) -> bool:
    return math.isfinite(float(metric["value"]))
