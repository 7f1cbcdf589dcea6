"""Runs uvicorn on the port until a signal comes."""

from __future__ import annotations

import logging
import os
import socket
import sys

from starlette.types import ASGIApp

from handful_core.runtime.openvino import stuck_runs
from handful_serving.concurrency.threads import hung_threads
from handful_serving.settings import ServingSettings

_log = logging.getLogger(__name__)
_FRAME_OVERHEAD = 1024
"""Bytes that a WebSocket message may have beside a live frame."""


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
    end_beside_hung_work()


def end_beside_hung_work() -> None:
    """End the process if an inference hangs: by itself the interpreter would wait for its thread, for ever."""
    if hung := len(hung_threads()) + stuck_runs():
        _log.warning("ending, although %d images are still in work", hung)
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)
