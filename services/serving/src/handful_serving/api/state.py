"""The application's state: what the routes work with. It is made once, when the application is created."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Annotated, Protocol

from fastapi import Depends
from prometheus_client import CollectorRegistry
from starlette.requests import HTTPConnection

from handful_serving.api.body import BodyBudget
from handful_serving.domain.auth import Authenticator, RateLimiter
from handful_serving.domain.model_manager import ModelManager
from handful_serving.domain.model_status import ModelStatus
from handful_serving.domain.ports import MonitorAnswer, MonitorQuestion
from handful_serving.domain.predictor import Predictor
from handful_serving.domain.rollout import Rollout
from handful_serving.settings import ServingSettings

_JSON_READERS = 4


class ApiMetrics(Protocol):
    """What the routes count. Its methods do not block."""

    registry: CollectorRegistry
    """All metrics, for /metrics."""

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        ...

    def rejected(self, reason: str) -> None:
        """A request, an image of a batch or a live frame was refused; the reason is a fixed word."""
        ...

    def live(self, connections: int) -> None:
        """The number of live connections changed."""
        ...

    def frame(self, outcome: str) -> None:
        """A live frame was `answered`, `dropped` for a newer one, or `failed`."""
        ...


class MonitorPort(Protocol):
    """The monitor, which may not be there."""

    async def get(self, path: str, query: str) -> MonitorAnswer | None:
        """Its answer; None where nobody listens."""
        ...

    async def ask(self, question: MonitorQuestion) -> MonitorAnswer | None:
        """The same for what may change something."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class Background(Protocol):
    """What works beside the requests, while the server runs."""

    def start(self) -> None:
        """Begin. It does not block."""
        ...

    def close(self) -> None:
        """Finish. It blocks for some seconds at most."""
        ...


class CaptureBackground(Background, Protocol):
    """The same for pictures that are kept."""

    mode: str
    """Which, in one word."""


@dataclass(frozen=True, slots=True)
class AppState:
    """Everything that routes use."""

    settings: ServingSettings
    manager: ModelManager
    predictor: Predictor
    rollout: Rollout
    model_status: ModelStatus
    metrics: ApiMetrics
    authenticator: Authenticator
    rate_limiter: RateLimiter
    body_budget: BodyBudget
    mlflow_page: str
    """Where people's browsers find MLflow."""
    monitor: MonitorPort
    prediction_log: Background | None = None
    """None if it is off."""
    capture: CaptureBackground | None = None
    """None if it is off."""
    live_connections: set[object] = field(default_factory=set)
    json_readers: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_JSON_READERS))
    """Limits the threads that parse long JSON."""
    form_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Lets one form be parsed at a time."""


def app_state(connection: HTTPConnection) -> AppState:
    """The state of the application that a request came to."""
    state: AppState = connection.app.state.serving
    return state


async def _app_state(connection: HTTPConnection) -> AppState:
    """The same as a dependency: FastAPI would call a plain function in a thread."""
    return app_state(connection)


State = Annotated[AppState, Depends(_app_state)]
