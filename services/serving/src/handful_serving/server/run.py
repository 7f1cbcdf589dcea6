"""Takes the port and runs uvicorn on it until a signal comes."""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import sys

from starlette.types import ASGIApp

from handful_core.errors import ConfigError, ResourceError
from handful_serving.concurrency.threads import hung_threads
from handful_serving.settings import ServingSettings

_log = logging.getLogger(__name__)
_FRAME_OVERHEAD = 1024
"""Bytes that a WebSocket message may have beside a live frame."""


def listen(host: str, port: int) -> socket.socket:
    """Take the port. It happens before anything is loaded, so that a port in use is known at once.

    Raises:
        ConfigError: the host is no address.
        ResourceError: the port cannot be used.
    """
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


def leave_signals_to_uvicorn() -> None:
    """Let SIGINT and SIGTERM end the server in good order, with exit status 0.

    uvicorn shuts down on these signals, restores the handlers from before, and raises the signals again. By then
    nothing is left to do: with the default handlers, the process would end with an error.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _do_nothing)


def _do_nothing(*_: object) -> None:
    """A signal handler. Unlike SIG_IGN, child processes do not inherit it."""


def run(app: ASGIApp, settings: ServingSettings, listening: socket.socket) -> None:
    """Answer requests until SIGINT or SIGTERM, and finish those that were accepted."""
    import uvicorn

    from handful_serving.server.drain import DrainingServer
    from handful_serving.server.protocols import BoundedHttpProtocol, BoundedWebSocketProtocol

    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # It logs its start in three lines.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # It warns of each form that is malformed.
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # Nothing here depends on the client's address.
        http=BoundedHttpProtocol,
        ws=BoundedWebSocketProtocol,
        ws_max_size=settings.live_frame_bytes + _FRAME_OVERHEAD,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )
    DrainingServer(config, settings.drain_seconds).run(sockets=[listening])
    end_beside_hung_threads()


def end_beside_hung_threads() -> None:
    """End the process if an inference hangs: by itself the interpreter would wait for its thread, for ever."""
    if hung := hung_threads():
        _log.warning("ending, although %d images are still in work", len(hung))
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)
