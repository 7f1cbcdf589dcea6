"""GET /verdicts, /verdicts/history, /requests, /health and /metrics."""

from __future__ import annotations

import logging
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request

from handful_core.errors import UnavailableError
from handful_monitor.api.schemas import (
    Gathering,
    HealthAnswer,
    HistoryAnswer,
    HistoryEntry,
    Links,
    RequestPoint,
    RequestsAnswer,
    VerdictsAnswer,
)
from handful_monitor.api.state import ApiState, State
from handful_monitor.domain.verdict import Stream
from handful_monitor.history import REPORT, VERDICT
from handful_monitor.standing import StandingVerdict
from handful_monitor.traffic import TrafficPoint

router = APIRouter()
_log = logging.getLogger(__name__)
_MOST_HOURS = 366 * 24
_NOT_SHOWN = {"segments"}

ModelName = Annotated[str, Query(min_length=1, max_length=256)]


@router.get("/health")
async def health(state: State) -> HealthAnswer:
    """The process answers, and its rounds go on: it ends when they end."""
    rounds = state.standing.rounds
    return HealthAnswer(mlflow_up=rounds.mlflow_up, last_round=rounds.last)


@router.get("/metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """Verdicts and rounds, for Prometheus."""
    return Response(generate_latest(request.app.state.metrics), headers={"Content-Type": CONTENT_TYPE_LATEST})


@router.get("/verdicts")
async def verdicts(state: State) -> VerdictsAnswer:
    """The newest verdict of each model, version and source. While MLflow is away: those that are known."""
    rounds = state.standing.rounds
    return VerdictsAnswer(
        verdicts=[_with_links(found, state) for found in state.standing.newest()],
        gathering=[_gathering(stream, rows, state) for stream, rows in state.standing.gathering()],
        last_round=rounds.last,
        mlflow_up=rounds.mlflow_up,
        stale_since=state.stale_since,
        failure=rounds.failure,
    )


@router.get("/verdicts/history")
async def history(
    state: State, model: ModelName, version: Annotated[str, Query(min_length=1)], source: str = ""
) -> HistoryAnswer:
    """What was said of a stream, the newest last; empty if nothing was."""
    found = state.standing.history(Stream(model, version, source))
    entries = [HistoryEntry(at=one.at, verdict=one.state, changed=list(one.changed), rows=one.rows) for one in found]
    return HistoryAnswer(history=entries, stale_since=state.stale_since)


@router.get("/requests")
def requests(
    state: State,
    model: ModelName | None = None,
    hours: Annotated[float, Query(gt=0, le=_MOST_HOURS)] = 24,
) -> RequestsAnswer:
    """Requests and latency over time, of one model or of all. In a thread: Prometheus may take its time."""
    source, points = _measured(state, model, hours)
    return RequestsAnswer(source=source, points=[_point(point) for point in points])


def _measured(
    state: ApiState, model: str | None, hours: float
) -> tuple[Literal["prometheus", "log"], list[TrafficPoint]]:
    if state.prometheus is not None:
        try:
            if points := state.prometheus.points(model, hours):
                return "prometheus", points
        except UnavailableError as error:
            _log.info("requests are counted from the log: %s", error)
    return "log", state.traffic.points(model, hours)


def _with_links(found: StandingVerdict, state: ApiState) -> dict[str, Any]:
    report = state.page_of(found.report, REPORT) if found.report else None
    links = Links(verdict=state.page_of(found.run, VERDICT), report=report)
    shown = {name: value for name, value in found.document.items() if name not in _NOT_SHOWN}
    return {**shown, "at": found.at.isoformat().replace("+00:00", "Z"), "links": links.model_dump()}


def _gathering(stream: Stream, rows: int, state: ApiState) -> Gathering:
    return Gathering(
        model=stream.model, version=stream.version, source=stream.source, rows=rows, needed=state.settings.rows
    )


def _point(point: TrafficPoint) -> RequestPoint:
    return RequestPoint(
        at=point.at, requests_per_second=round(point.requests_per_second, 5), p95_seconds=point.p95_seconds
    )
