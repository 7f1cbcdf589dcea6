"""The runs that MLflow has, the newest first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from handful_core.errors import NotFoundError
from handful_core.registry.monitoring import PREFIX, REVIEW_PREFIX
from handful_core.registry.rest import API, Rest


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run of a list."""

    run_id: str
    name: str
    experiment: str
    status: str
    """RUNNING, FINISHED, FAILED, KILLED or SCHEDULED."""
    started: datetime | None = None
    ended: datetime | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    """The last value of each."""


def list_runs(rest: Rest, experiment: str | None, limit: int) -> list[RunSummary]:
    """The newest runs, of one experiment or of all but those that serving and monitoring make by themselves.

    Raises:
        NotFoundError: there is no experiment of this name.
    """
    found = rest.search(f"{API}/experiments/search", "experiments", {"view_type": "ACTIVE_ONLY"})
    names = {str(each["experiment_id"]): str(each["name"]) for each in found}
    own = (PREFIX, REVIEW_PREFIX)
    chosen = [key for key, name in names.items() if name == experiment or not (experiment or name.startswith(own))]
    if experiment is not None and not chosen:
        raise NotFoundError(f"MLflow has no experiment {experiment}", f"it has {', '.join(sorted(names.values()))}")
    if not chosen:
        return []
    body = {"experiment_ids": chosen, "max_results": limit, "order_by": ["attributes.start_time DESC"]}
    runs = rest.send("POST", f"{API}/runs/search", body).get("runs", [])
    return [_summary(run, names) for run in runs]


def _summary(run: Mapping[str, Any], experiments: Mapping[str, str]) -> RunSummary:
    info, metrics = run["info"], run.get("data", {}).get("metrics", [])
    values = {str(metric["key"]): float(metric["value"]) for metric in metrics}
    return RunSummary(
        run_id=str(info["run_id"]),
        name=str(info.get("run_name", "")),
        experiment=experiments.get(str(info["experiment_id"]), str(info["experiment_id"])),
        status=str(info["status"]),
        started=_time(info.get("start_time")),
        ended=_time(info.get("end_time")),
        metrics={key: value for key, value in values.items() if math.isfinite(value)},
    )


def _time(milliseconds: Any) -> datetime | None:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC) if milliseconds else None
