"""The application."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from handful_core import __version__
from handful_monitor.api import problems, review, routes
from handful_monitor.api.metrics import metrics_of
from handful_monitor.api.state import ApiState

_RULES = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


def create_app(state: ApiState) -> FastAPI:
    """The application. It only reads, but for reviews: see `handful_monitor.api.review`."""
    app = FastAPI(
        title="Handful monitor",
        version=__version__,
        summary="Says what has changed in what served models are asked and answer.",
        docs_url=None,
        redoc_url=None,
        middleware=[Middleware(_SecurityHeaders)],
    )
    app.state.monitor = state
    app.state.metrics = metrics_of(state.standing)
    app.include_router(routes.router)
    app.include_router(review.router)
    problems.install(app)
    return app


class _SecurityHeaders:
    """A browser shows these answers to scripts of the same origin, and runs nothing in them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_rules(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_RULES]
            await send(message)

        await self._app(scope, receive, with_rules)
