"""`handful serve`."""

from __future__ import annotations

import logging
import socket
from pathlib import Path
from typing import Annotated, Any

import typer

from handful_core import logs
from handful_core.console import say
from handful_core.errors import redact_credentials
from handful_core.listening import leave_signals_to_uvicorn, listen
from handful_core.settings import CoreSettings, load
from handful_serving.settings import ServingSettings

_log = logging.getLogger(__name__)


def serve(
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Address to listen on. If not set, 127.0.0.1.")
    ] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port to listen on. If not set, 8000.")] = None,
    dashboard: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", exists=True, file_okay=False, help="Folder of the dashboard, to be served at /."
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="The model of requests that name none.")] = None,
) -> None:
    """Serve the registry's champions, and the dashboard, until Ctrl-C."""
    settings = _settings(host=host, port=port, dashboard_dir=dashboard, default_model=model)
    with listen(settings.host, settings.port) as listening:
        _serve(settings, load(CoreSettings), listening)


def _settings(**options: Any) -> ServingSettings:
    settings = load(ServingSettings)
    given = {name: value for name, value in options.items() if value is not None}
    if settings.dashboard_dir is None:
        given.setdefault("dashboard_dir", _bundled_dashboard())
    return settings.model_copy(update=given)


def _bundled_dashboard() -> Path | None:
    """The dashboard of the working copy that this file is in, if it is in one."""
    parents = Path(__file__).resolve().parents
    folder = parents[4] / "dashboard" if len(parents) > 4 else None
    return folder if folder and (folder / "index.html").is_file() else None


def _serve(settings: ServingSettings, core: CoreSettings, listening: socket.socket) -> None:
    from handful_serving.adapters.memory import share_heap
    from handful_serving.api.request_ids import RequestIdFilter
    from handful_serving.app import create_app
    from handful_serving.server.run import run

    share_heap()  # Before `create_app` starts threads: each of them would get a heap of its own.
    logs.configure(settings.log_level, as_json=settings.log_json)
    for handler in logging.getLogger().handlers:
        handler.addFilter(RequestIdFilter())
    app = create_app(settings, core)
    leave_signals_to_uvicorn()
    mlflow = redact_credentials(core.mlflow_uri)
    say(f"serving at http://{_for_url(settings.host)}:{settings.port} (MLflow: {mlflow}); Ctrl-C ends it")
    if settings.keys_required:
        say("requests need an API key, since others can reach this server: `handful keys create NAME` makes one")
    run(app, settings, listening)
    _log.info("ended")


def _for_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
