"""The answers, as OpenAPI describes them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from handful_monitor.domain.verdict import State


class HealthAnswer(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"
    mlflow_up: bool | None = Field(description="Whether MLflow answered in the last round; null before the first.")
    last_round: datetime | None = Field(description="When the last round ended.")


class Links(BaseModel):
    """Where a person goes on."""

    verdict: str = Field(description="The verdict's run in MLflow's pages.")
    report: str | None = Field(description="Evidently's newest report in MLflow's pages; null if there is none.")


class Gathering(BaseModel):
    """Rows that wait for a verdict."""

    model: str
    version: str
    source: str
    rows: int = Field(description="So many there are.")
    needed: int = Field(description="So many it takes.")


class VerdictsAnswer(BaseModel):
    """The newest verdict of each model, version and source."""

    verdicts: list[dict[str, Any]] = Field(
        description="verdict.json, and beside it `at`, when it was given, and `links`, where MLflow has it."
    )
    gathering: list[Gathering]
    last_round: datetime | None = Field(description="When the monitor last looked; null before its first round ended.")
    mlflow_up: bool | None = Field(description="Whether MLflow answered in the last round; null before the first.")
    stale_since: datetime | None = Field(description="Since when nothing new is known; null if the last round was ok.")
    failure: str = Field(description="Why the last round failed; empty if it did not.")


class HistoryEntry(BaseModel):
    """A verdict in short."""

    at: datetime
    verdict: State
    changed: list[str] = Field(description="Names of the features that had changed.")
    rows: int


class HistoryAnswer(BaseModel):
    """A stream's verdicts, the newest last."""

    history: list[HistoryEntry]
    stale_since: datetime | None


class RequestPoint(BaseModel):
    """A step of time that ends at `at`."""

    at: datetime
    requests_per_second: float
    p95_seconds: float | None = Field(description="95 % were answered within so many seconds; null if not measured.")


class RequestsAnswer(BaseModel):
    """Requests and latency over time."""

    source: Literal["prometheus", "log"] = Field(
        serialization_alias="from", description="Who counted; the log knows no latency and is some minutes late."
    )
    points: list[RequestPoint]
