"""Puts the state together: the one place that knows them all."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware

from handful_core import __version__
from handful_core.errors import ConfigError, redact_credentials
from handful_core.registry import Registry
from handful_core.registry.monitoring import REVIEW_PREFIX, MonitoringExperiments
from handful_core.review import ReviewStore
from handful_core.runtime.cpus import available_cpus
from handful_core.settings import CoreSettings
from handful_core.vision.drawing import draw
from handful_faces import face_blur
from handful_serving.adapters import memory
from handful_serving.adapters.backends import model_opener
from handful_serving.adapters.capture.capture import PictureCapture
from handful_serving.adapters.capture.courier import Courier
from handful_serving.adapters.capture.rules import CaptureRules
from handful_serving.adapters.capture.spool import PictureSpool
from handful_serving.adapters.disk_cache import DiskCache
from handful_serving.adapters.key_file import KeyFile, WithMetricsKey
from handful_serving.adapters.metrics import Metrics
from handful_serving.adapters.monitor import Monitor
from handful_serving.adapters.observers import Observers
from handful_serving.adapters.prediction_log.log import PredictionLog
from handful_serving.adapters.prediction_log.shipper import Shipper
from handful_serving.adapters.prediction_log.spool import Spool
from handful_serving.adapters.probe import Limits, Probe
from handful_serving.adapters.probe_record import ProbeRecord
from handful_serving.adapters.trusted_day import TrustedDay
from handful_serving.api import error_handlers
from handful_serving.api.access_log import AccessLog
from handful_serving.api.body import BodyBudget
from handful_serving.api.dashboard import Dashboard, with_fallback
from handful_serving.api.errors import Problem
from handful_serving.api.request_ids import HEADER, RequestIds
from handful_serving.api.routes import docs, health, live, models, monitor, predict, rollouts, v2
from handful_serving.api.security import KEY_HEADER
from handful_serving.api.security_headers import SecurityHeaders
from handful_serving.api.state import AppState
from handful_serving.concurrency.admission import AdmissionQueue
from handful_serving.concurrency.threads import in_thread
from handful_serving.domain.auth import ApiKeyStore, Authenticator, RateLimiter
from handful_serving.domain.catalog import Catalog
from handful_serving.domain.loader import Dependencies
from handful_serving.domain.model_manager import ModelManager
from handful_serving.domain.model_status import ModelStatus
from handful_serving.domain.ports import ModelRegistry, OpenModel
from handful_serving.domain.predictor import Pipeline, Predictor
from handful_serving.domain.rollout import Rollout, TrafficSplit
from handful_serving.settings import ServingSettings

_PREFIX = "/api"
"""All routes are here too: the dashboard asks here, behind any proxy."""
_GZIP_LEVEL = 6
"""How hard the dashboard's texts are compressed: more takes longer and saves nothing to speak of."""


def create_app(
    settings: ServingSettings,
    core: CoreSettings,
    *,
    registry: ModelRegistry | None = None,
    open_model: OpenModel | None = None,
    probe: bool = True,
    experiments: MonitoringExperiments | None = None,
    captured: MonitoringExperiments | None = None,
) -> FastAPI:
    """The application.

    Args:
        settings: serving's own settings.
        core: where MLflow is, and the home folder.
        registry: a registry, instead of MLflow at its address.
        open_model: loads packages, instead of what the settings say.
        probe: try each package in a process of its own first.
        experiments: where the prediction log goes, instead of MLflow at its address.
        captured: where captured pictures go, instead of MLflow at its address.

    Raises:
        ResourceError: the cache folder cannot be written.
        ConfigError: there is no dashboard in its folder, MLflow's address is invalid, OpenVINO is not installed, or
            pictures would be kept with faces in them.
    """
    dashboard = Dashboard(settings.dashboard_dir) if settings.dashboard_dir else None
    state = _build(settings, core, registry, open_model, experiments, captured, probe=probe)
    app = FastAPI(
        title="Handful",
        version=__version__,
        summary="Asks registered vision models what is in an image.",
        license_info={"name": "AGPL-3.0-or-later", "identifier": "AGPL-3.0-or-later"},
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lambda _: _running(state),
        middleware=_middleware(settings, state),
    )
    app.state.serving = state
    _add_routes(app)
    error_handlers.install(app)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    if dashboard is not None:
        compressed = GZipMiddleware(dashboard, compresslevel=_GZIP_LEVEL)
        app.router.default = with_fallback(compressed, app.router.default)
    return app


def _middleware(settings: ServingSettings, state: AppState) -> list[Middleware]:
    """The outermost first: whatever the others answer has a request id, and is logged."""
    return [
        Middleware(RequestIds),
        Middleware(AccessLog, on_response=state.metrics.answered, prefix=_PREFIX),
        Middleware(SecurityHeaders),
        *_cors(settings),
    ]


def _add_routes(app: FastAPI) -> None:
    # The first route that matches answers: these stand before the ones that only describe them.
    app.router.routes.extend([*predict.plain_routes(), *predict.plain_routes(_PREFIX)])
    for module in (predict, live, models, monitor, rollouts, v2, health, docs):
        app.include_router(module.router)
        app.include_router(module.router, prefix=_PREFIX, include_in_schema=False)


def _build(
    settings: ServingSettings,
    core: CoreSettings,
    registry: ModelRegistry | None,
    open_model: OpenModel | None,
    experiments: MonitoringExperiments | None,
    captured: MonitoringExperiments | None,
    *,
    probe: bool,
) -> AppState:
    metrics = Metrics()
    log = _prediction_log(settings, core, experiments) if settings.prediction_log else None
    if log is not None:
        metrics.registry.register(log)
    capture = _capture(settings, core, captured) if settings.capture != "off" else None
    if capture is not None:
        metrics.registry.register(capture)
    threads = settings.threads or available_cpus()
    cache = settings.cache_dir or core.home / "cache" / "models"
    disk_cache = DiskCache(cache, settings.cache_versions)
    package_probe = _probe(settings, threads, cache) if probe else None
    open_model = open_model or model_opener(
        settings.inference_backend,
        threads,
        cache,
        settings.run_seconds,
        precision=settings.inference_precision,
        passed=package_probe.passed if package_probe else None,
    )
    dependencies = Dependencies(
        # One attempt: the watcher polls again by itself, and a request should not wait for three.
        registry=registry or Registry(core.mlflow_uri, timeout=settings.registry_timeout, attempts=1),
        cache=disk_cache,
        open_model=partial(package_probe.open, open_model=open_model) if package_probe else open_model,
        observer=metrics if log is None else Observers(metrics, log),
        resident=memory.resident,
        probe=package_probe.check if package_probe else lambda _: {},
    )
    catalog = Catalog(settings.default_model, settings.models)
    manager = ModelManager(dependencies, catalog, settings.max_loaded, _budget(settings))
    rollout = Rollout(manager, TrafficSplit(settings.canary_share, settings.shadow_share))
    # One slot more than there are threads: its image waits in the pool, so a thread that is done begins with it at
    # once, without a turn of the event loop in between.
    queue = AdmissionQueue(threads + 1, settings.queue_size, settings.deadline_seconds)
    metrics.watch(manager, queue, core.home)
    return AppState(
        settings=settings,
        manager=manager,
        predictor=Predictor(manager, _pipeline(settings, threads), queue, rollout, threads, capture),
        rollout=rollout,
        model_status=ModelStatus(manager),
        metrics=metrics,
        authenticator=Authenticator(_keys(settings, core), settings.keys_required),
        rate_limiter=RateLimiter(settings.rate_per_minute),
        body_budget=BodyBudget(settings.max_body_bytes, settings.max_pending_bytes, settings.body_seconds),
        monitor=Monitor(settings.monitor),
        prediction_log=log,
        capture=capture,
        mlflow_page=(settings.mlflow_page or redact_credentials(core.mlflow_uri)).rstrip("/"),
    )


def _keys(settings: ServingSettings, core: CoreSettings) -> ApiKeyStore:
    keys = KeyFile(settings.keys_file or core.home / "keys.json")
    return WithMetricsKey(keys, settings.metrics_key_file) if settings.metrics_key_file else keys


def _probe(settings: ServingSettings, threads: int, cache: Path) -> Probe:
    limits = Limits(settings.probe_seconds, settings.run_seconds, _budget(settings))
    record = ProbeRecord(cache / "probe.json")
    return Probe(settings.inference_backend, threads, limits, record, settings.inference_precision)


def _pipeline(settings: ServingSettings, threads: int) -> Pipeline:
    blur = face_blur(
        settings.face_blur,
        size=settings.face_size,
        strength=settings.face_blur_strength,
        margin=settings.face_blur_margin,
        threads=threads,
        yunet_model=settings.yunet_model,
    )
    return Pipeline(blur, draw, settings.max_pixels)


def _prediction_log(
    settings: ServingSettings, core: CoreSettings, experiments: MonitoringExperiments | None
) -> PredictionLog:
    """Where it is kept, how much, and how it gets to MLflow."""
    experiments = experiments or MonitoringExperiments(core.mlflow_uri, settings.registry_timeout, attempts=1)
    return PredictionLog(
        partial(Spool, core.home / "monitoring", settings.prediction_log_megabytes * 1_000_000),
        Shipper(experiments, settings.prediction_log_days),
        settings.prediction_log_rows,
        segment_seconds=settings.prediction_log_segment_seconds,
    )


def _capture(
    settings: ServingSettings, core: CoreSettings, experiments: MonitoringExperiments | None
) -> PictureCapture:
    """Which pictures are kept, where they wait, and how they get to MLflow."""
    if settings.face_blur == "off" and not settings.capture_unblurred:
        raise ConfigError(
            "pictures would be kept with faces in them: HANDFUL_SERVING_CAPTURE is on, and the face blur is off",
            "set FACE_BLUR=centerface, or HANDFUL_SERVING_CAPTURE_UNBLURRED=true where no faces can be seen",
        )
    if settings.capture == "all-of-source" and not settings.capture_sources:
        raise ConfigError(
            "HANDFUL_SERVING_CAPTURE=all-of-source names no source",
            "set HANDFUL_SERVING_CAPTURE_SOURCES to the sources whose pictures are kept, such as camera-1",
        )
    experiments = experiments or MonitoringExperiments(
        core.mlflow_uri, settings.registry_timeout, attempts=1, prefix=REVIEW_PREFIX
    )
    folder = core.home / "review"
    rules = CaptureRules(
        settings.capture,
        settings.capture_share,
        settings.capture_threshold,
        frozenset(settings.capture_sources),
        settings.capture_daily,
    )
    courier = Courier(ReviewStore(experiments, socket.gethostname()), TrustedDay(experiments), settings.capture_days)
    return PictureCapture(rules, partial(PictureSpool, folder), courier, settings.capture_megabytes * 1_000_000)


def _budget(settings: ServingSettings) -> int | None:
    """Bytes for models."""
    if settings.model_memory_mb is not None:
        return settings.model_memory_mb * 1_000_000
    available = memory.available()
    return available // 2 if available else None


def _cors(settings: ServingSettings) -> list[Middleware]:
    if not settings.cors_origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "If-Match", KEY_HEADER, HEADER],
            expose_headers=["ETag", HEADER, "Retry-After"],
        )
    ]


@asynccontextmanager
async def _running(state: AppState) -> AsyncIterator[None]:
    state.manager.start(state.settings.poll_seconds)
    if state.prediction_log:
        state.prediction_log.start()
    if state.capture:
        state.capture.start()
    try:
        yield
    finally:
        state.rollout.close()
        await state.manager.stop()
        state.predictor.close()
        await state.monitor.close()
        if state.prediction_log:
            await in_thread(state.prediction_log.close)
        if state.capture:
            await in_thread(state.capture.close)


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        description = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            license_info=app.license_info,
            routes=app.routes,
        )
        schemas = description["components"]["schemas"]
        schemas["Problem"] = Problem.model_json_schema()
        # A wrong parameter is answered as a problem with status 400, not as FastAPI's own 422.
        for path in description["paths"].values():
            for operation in path.values():
                content = operation["responses"].get("422", {}).get("content", {})
                if "application/json" in content:
                    del operation["responses"]["422"]
        schemas.pop("HTTPValidationError", None)
        schemas.pop("ValidationError", None)
        app.openapi_schema = description
    return app.openapi_schema
