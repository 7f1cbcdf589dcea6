"""`handful serve`."""

from __future__ import annotations

import errno
import logging
import signal
import socket
from pathlib import Path
from typing import Annotated, Any

import typer

from handful_core import logs
from handful_core.addresses import redact_credentials
from handful_core.console import say
from handful_core.errors import ConfigError, ResourceError
from handful_core.settings import CoreSettings, load
from handful_serving.settings import ServingSettings

_log = logging.getLogger(__name__)


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1 if not set.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port to listen on; 8000 if not set.")] = None,
    dashboard: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Folder of the dashboard, to be served at /.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="The model of requests that name none.")] = None,
) -> None:
    """Serve the registry's champions, and the dashboard, until Ctrl-C."""
    settings = _settings(host=host, port=port, dashboard_dir=dashboard, default_model=model)
    listening = _listen(settings.host, settings.port)
    with listening:
        _run(settings, load(CoreSettings), listening)


def _settings(**options: Any) -> ServingSettings:
    settings = load(ServingSettings)
    given = {name: value for name, value in options.items() if value is not None}
    if settings.dashboard_dir is None:
        given.setdefault("dashboard_dir", _own_dashboard())
    return settings.model_copy(update=given)


def _own_dashboard() -> Path | None:
    """The dashboard of the working copy that this file lies in, if it lies in one."""
    parents = Path(__file__).resolve().parents
    folder = parents[4] / "dashboard" if len(parents) > 4 else None
    return folder if folder and (folder / "index.html").is_file() else None


def _listen(host: str, port: int) -> socket.socket:
    """Take the port before anything is loaded."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise ConfigError(f"{host} is not an address to listen on ({error.strerror})", "correct --host") from error
    listening = socket.socket(family, kind, protocol)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
    except OSError as error:
        listening.close()
        raise ResourceError(f"port {port} on {host} cannot be used ({error.strerror})", _advice(error, port)) from error
    return listening


def _advice(error: OSError, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"end what listens there (`ss -ltnp 'sport = :{port}'` names it), or choose another with --port"
    if error.errno == errno.EACCES:
        return "choose a port above 1023 with --port"
    return "correct --host and --port"


def _run(settings: ServingSettings, core: CoreSettings, listening: socket.socket) -> None:
    import uvicorn

    from handful_serving.adapters.memory import share_heap
    from handful_serving.api.request_ids import RequestIdFilter
    from handful_serving.app import create_app
    from handful_serving.server.protocols import BoundedHttpProtocol, BoundedWebSocketProtocol

    share_heap()
    logs.configure(settings.log_level, as_json=settings.log_json)
    for handler in logging.getLogger().handlers:
        handler.addFilter(RequestIdFilter())
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # It tells in three lines that it starts.
    app = create_app(settings, core)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # Nothing here depends on who asks for whom.
        http=BoundedHttpProtocol,
        ws=BoundedWebSocketProtocol,
        ws_max_size=settings.live_frame_bytes + 1024,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )
    # uvicorn ends in peace on these signals, then raises them again: by then there is nothing left to end.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _nothing)
    mlflow = redact_credentials(core.mlflow_uri)
    say(f"serving at http://{_for_url(settings.host)}:{settings.port} (MLflow: {mlflow}); Ctrl-C ends it")
    if settings.keys_required:
        say("requests need an API key, since others can reach this server: `handful keys create NAME` makes one")
    uvicorn.Server(config).run(sockets=[listening])
    _log.info("ended")


def _nothing(*_: object) -> None:
    """A signal's handler."""


def _for_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
