"""What the routes work with. It is made once, when the application starts."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from handful_serving.adapters.metrics import Metrics
from handful_serving.api.intake import Intake
from handful_serving.domain.access import Guard
from handful_serving.domain.fleet import Fleet
from handful_serving.domain.overview import Overview
from handful_serving.domain.predictor import Predictor
from handful_serving.domain.rollout import Rollout
from handful_serving.settings import ServingSettings

_READERS = 4


@dataclass(frozen=True, slots=True)
class Parts:
    """The application's parts."""

    settings: ServingSettings
    fleet: Fleet
    predictor: Predictor
    rollout: Rollout
    overview: Overview
    metrics: Metrics
    guard: Guard
    intake: Intake
    mlflow_page: str
    """Where people's browsers find MLflow."""
    live: set[object] = field(default_factory=set)
    """Live connections."""
    reading: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_READERS))
    """Threads that take long JSON apart."""


def parts_of(connection: HTTPConnection) -> Parts:
    """The parts of the application that a request came to."""
    parts: Parts = connection.app.state.parts
    return parts


async def _parts(connection: HTTPConnection) -> Parts:
    """The same as a dependency: FastAPI would call a plain function in a thread."""
    return parts_of(connection)


AppParts = Annotated[Parts, Depends(_parts)]
