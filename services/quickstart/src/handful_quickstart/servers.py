"""The servers, MLflow and serving: started, watched and stopped."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from handful_core.console import say
from handful_core.errors import UnavailableError
from handful_quickstart.plan import PROCFILE, Plan
from handful_quickstart.process import ChildProcess, signals_ignored

_START_SECONDS = 300
_STOP_SECONDS = 3 if sys.platform == "win32" else 30
"""Windows cannot ask the servers to stop: honcho ends only the shell around each, and the rest is killed anyway."""
_STOPPED = re.compile(r" (\S+) stopped \(rc=(-?\d+)\)")


class Servers:
    """MLflow and serving, as the Procfile says.

    Args:
        plan: where they listen and write.
        supervisor: the process that runs them.
    """

    def __init__(self, plan: Plan, supervisor: ChildProcess) -> None:
        self._plan = plan
        self._supervisor = supervisor

    def wait_until_up(self) -> None:
        """Wait until both answer.

        Raises:
            UnavailableError: one ended, or does not answer in time.
        """
        until = time.monotonic() + _START_SECONDS
        for name, url in (("mlflow", f"{self._plan.mlflow}/health"), ("serve", f"{self._plan.api}/health/live")):
            while not _answers(url):
                self.check()
                if time.monotonic() > until:
                    raise UnavailableError(
                        f"{name} does not answer at {url} after {_START_SECONDS} s",
                        f"see {self._plan.logs / name}.log",
                    )
                time.sleep(0.2)
        self._supervisor.tree()  # Remembers the servers: they are to be stopped even if the supervisor is killed.

    def check(self) -> None:
        """Make sure that the servers run.

        Raises:
            UnavailableError: one ended by itself.
        """
        if self._supervisor.wait(0) is not None:
            raise UnavailableError(*_who_ended(self._plan.logs))

    def stay(self) -> None:
        """Stay until Ctrl-C.

        Raises:
            UnavailableError: a server ended by itself.
        """
        try:
            say("Ctrl-C ends it")
            self._supervisor.wait()
            self.check()
        except KeyboardInterrupt:
            say("ending the servers")


@contextmanager
def running_servers(plan: Plan) -> Iterator[Servers]:
    """The servers, which are stopped when the block ends."""
    plan.logs.mkdir(parents=True, exist_ok=True)
    (plan.home / "mlflow").mkdir(exist_ok=True)
    with (plan.logs / "supervisor.log").open("wb") as log:
        supervisor = ChildProcess(
            "handful_quickstart.supervisor",
            [str(plan.folder / PROCFILE), str(plan.logs)],
            plan.environment(os.environ),
            plan.folder,
            log,
            _STOP_SECONDS,
        )
    try:
        yield Servers(plan, supervisor)
    finally:
        with signals_ignored():
            supervisor.stop()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).is_success
    except httpx.TransportError:
        return False


def _who_ended(logs: Path) -> tuple[str, str]:
    """The line and the hint about what ended first, from honcho's own log."""
    system = logs / "system.log"
    stopped = _STOPPED.search(system.read_text(encoding="utf-8")) if system.exists() else None
    if stopped is None:
        return "the servers could not be started", f"see {logs / 'supervisor.log'}"
    return f"{stopped[1]} ended by itself with code {stopped[2]}", f"see {logs / stopped[1]}.log"
