"""GET /health/live, /health/ready and /metrics."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from handful_serving.api.errors import problem_responses
from handful_serving.api.schemas import LiveAnswer, ReadyAnswer, ReadyModel
from handful_serving.api.security import MetricsCaller
from handful_serving.api.state import State

router = APIRouter(tags=["health"])


@router.head("/health/live", include_in_schema=False)
@router.get("/health/live", response_model=LiveAnswer)
async def live() -> LiveAnswer:
    """The process answers."""
    return LiveAnswer()


@router.head("/health/ready", include_in_schema=False)
@router.get("/health/ready", response_model=ReadyAnswer, responses=problem_responses(503))
async def ready(state: State) -> ReadyAnswer:
    """A model is loaded. If not, the answer says which command makes one."""
    keys = state.manager.ready()
    models = [ReadyModel(name=key.name, version=key.version) for key in keys]
    return ReadyAnswer(models=models, capture=state.settings.capture)


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        **problem_responses(401, 403),
        200: {"description": "Prometheus' text format.", "content": {"text/plain": {"schema": {"type": "string"}}}},
    },
)
async def metrics(state: State, _: MetricsCaller) -> Response:
    """Requests, stages, models and the registry, for Prometheus."""
    return Response(generate_latest(state.metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
