"""What the routes work with. It is made once, when the application starts."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from handful_serving.adapters.metrics import Metrics
from handful_serving.api.body import BodyBudget
from handful_serving.domain.auth import Guard
from handful_serving.domain.model_manager import ModelManager
from handful_serving.domain.model_status import ModelStatus
from handful_serving.domain.predictor import Predictor
from handful_serving.domain.rollout import Rollout
from handful_serving.settings import ServingSettings

_READERS = 4


@dataclass(frozen=True, slots=True)
class AppState:
    """The application's parts."""

    settings: ServingSettings
    fleet: ModelManager
    predictor: Predictor
    rollout: Rollout
    overview: ModelStatus
    metrics: Metrics
    guard: Guard
    intake: BodyBudget
    mlflow_page: str
    """Where people's browsers find MLflow."""
    live: set[object] = field(default_factory=set)
    """Live connections."""
    reading: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_READERS))
    """Threads that take long JSON apart."""


def app_state(connection: HTTPConnection) -> AppState:
    """The parts of the application that a request came to."""
    parts: AppState = connection.app.state.parts
    return parts


async def _parts(connection: HTTPConnection) -> AppState:
    """The same as a dependency: FastAPI would call a plain function in a thread."""
    return app_state(connection)


State = Annotated[AppState, Depends(_parts)]
