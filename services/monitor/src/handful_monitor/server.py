"""`handful monitor watch --port`: rounds in a thread, and beside them an HTTP server that says what is known."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable

import uvicorn

from handful_core.errors import HandfulError, UnavailableError, redact_credentials
from handful_monitor.api.app import create_app
from handful_monitor.api.state import ApiState
from handful_monitor.domain.verdict import Verdict
from handful_monitor.prometheus import Prometheus
from handful_monitor.report import Parts, Watches
from handful_monitor.standing import Standing
from handful_monitor.standing_file import StandingFile
from handful_monitor.traffic import TrafficCounter
from handful_monitor.watch import Watch, watch

_SHUTDOWN_SECONDS = 5
_ROUND_SECONDS = 20
"""How long a round that is under way may take to end. A verdict that is not kept by then is the next process's."""


class RoundsEndedError(HandfulError):
    """The rounds ended by themselves: what is known would stay as it is for ever."""


class Service:
    """Rounds, and what is known of them.

    Args:
        parts: what the rounds work with.
        model: one model; None for all.
        tell: what to do with a verdict.
        every: seconds between two rounds.
    """

    def __init__(self, parts: Parts, model: str | None, tell: Callable[[Verdict], None], every: float) -> None:
        settings = parts.settings
        self._standing, traffic = Standing(settings.days), TrafficCounter(settings.days)
        self._file = StandingFile(parts.home / "monitoring" / ".verdicts.json", self._standing)
        self._file.restore()
        self._watches = Watches(parts, model, self._standing, traffic)
        self._tell, self._every = tell, every
        self._stop, self._ended_by_itself = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._rounds, name="rounds", daemon=True)
        page = settings.mlflow_page or redact_credentials(parts.registry.uri)
        prometheus = Prometheus(settings.prometheus) if settings.prometheus else None
        self.app = create_app(ApiState(settings, self._standing, traffic, page.rstrip("/"), parts.reviews, prometheus))
        self._server = uvicorn.Server(
            uvicorn.Config(
                self.app,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
            )
        )

    def run(self, listening: socket.socket) -> None:
        """Go round and answer requests, until SIGINT or SIGTERM.

        Raises:
            RoundsEndedError: a bug has ended the rounds.
        """
        logging.getLogger("uvicorn").setLevel(logging.WARNING)  # It logs its start in three lines.
        self._thread.start()
        self._server.run(sockets=[listening])
        if self._ended_by_itself.is_set():
            raise RoundsEndedError("the rounds ended by themselves", "the log above has the trace: report it")
        self._stop.set()
        self._thread.join(_ROUND_SECONDS)

    def _rounds(self) -> None:
        try:
            watch(self._watches.now, self._tell, self._every, self._ended, self._stop.wait)
        finally:
            # A bug: the server must not go on as if somebody still looked.
            if not self._stop.is_set():
                self._ended_by_itself.set()
                self._server.should_exit = True

    def _ended(self, failure: HandfulError | None, watches: list[Watch]) -> None:
        for one in watches:
            self._standing.gather(one.model, one.gathering())
        self._standing.end_round(str(failure or ""), mlflow_up=not isinstance(failure, UnavailableError))
        if failure is None:
            self._file.write()
