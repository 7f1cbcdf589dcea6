"""What the routes work with."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request

from handful_core.review import ReviewStore
from handful_monitor.prometheus import Prometheus
from handful_monitor.settings import MonitorSettings
from handful_monitor.standing import RunReference, Standing
from handful_monitor.traffic import TrafficCounter

_VIEW = "workflowType=machine_learning"
"""MLflow opens in its view for language models otherwise."""


@dataclass(frozen=True, slots=True)
class ApiState:
    """Everything that routes use.

    Attributes:
        standing: verdicts and rounds.
        traffic: requests, counted from the log.
        prometheus: requests and latency, measured; None without one.
        mlflow_page: where people's browsers find MLflow.
        reviews: captured pictures, and what people said about them.
        started: when this process began to know things.
    """

    settings: MonitorSettings
    standing: Standing
    traffic: TrafficCounter
    mlflow_page: str
    reviews: ReviewStore
    prometheus: Prometheus | None = None
    started: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def stale_since(self) -> datetime | None:
        """Since when nothing new is known; None if the last round was ok, or none has ended yet."""
        rounds = self.standing.rounds
        return (rounds.last_ok or self.started) if rounds.failure else None

    def page_of(self, run: RunReference, file: str) -> str:
        """A file of a run, in MLflow's own pages."""
        return f"{self.mlflow_page}/#/experiments/{run.experiment_id}/runs/{run.run_id}/artifacts/{file}?{_VIEW}"


async def _state(request: Request) -> ApiState:
    """As a coroutine: FastAPI would call a plain function in a thread."""
    state: ApiState = request.app.state.monitor
    return state


State = Annotated[ApiState, Depends(_state)]
"""The state of the application that a request came to."""
