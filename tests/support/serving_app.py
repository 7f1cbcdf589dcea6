"""The serving application on a fake MLflow, asked in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from fakes.registry import FakeMlflow
from handful_core.registry import Registry
from handful_core.registry.monitoring import REVIEW_PREFIX, MonitoringExperiments
from handful_core.settings import CoreSettings
from handful_serving.app import create_app
from handful_serving.settings import ServingSettings


def make_app(folder: Path, mlflow: FakeMlflow, *, probe: bool = False, **settings: Any) -> FastAPI:
    """The application with its home in `folder`. Its prediction log is off unless the settings say otherwise.

    By itself it trusts the tests' own packages: a process of its own for each would take most of the tests' time.
    """
    options = {"poll_seconds": 0.02, "threads": 1, "face_blur": "off", "deadline_seconds": 60}
    options |= {"inference_backend": "onnxruntime", "prediction_log": False} | settings
    registry = Registry("http://mlflow", attempts=1, transport=mlflow.transport())
    experiments = MonitoringExperiments("http://mlflow", attempts=1, transport=mlflow.transport())
    captured = MonitoringExperiments("http://mlflow", attempts=1, transport=mlflow.transport(), prefix=REVIEW_PREFIX)
    core = CoreSettings(home=folder / "home")
    return create_app(
        ServingSettings(**options), core, registry=registry, probe=probe, experiments=experiments, captured=captured
    )


@asynccontextmanager
async def running(app: FastAPI, *, ready: bool = True) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the running application, once it is ready (or at once)."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://serving") as client,
    ):
        if ready:
            async with asyncio.timeout(120):
                while (await client.get("/health/ready")).is_error:
                    await asyncio.sleep(0.01)
        yield client
