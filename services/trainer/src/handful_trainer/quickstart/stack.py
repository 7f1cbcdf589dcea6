"""The servers: started and ended, or found running."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from handful_core.console import say
from handful_core.errors import UnavailableError
from handful_trainer.quickstart.guarded import Guarded
from handful_trainer.quickstart.plan import PROCFILE, Plan
from handful_trainer.quickstart.record import ProcessMark, StackRecord
from handful_trainer.quickstart.signals import undisturbed

_START_SECONDS = 300
_SUPERVISOR_SECONDS = 3 if sys.platform == "win32" else 30
"""What the servers have to end in peace. Windows cannot ask them to: honcho ends only the shell around each."""
_STOPPED = re.compile(r" (\S+) stopped \(rc=(-?\d+)\)")


class Stack:
    """MLflow and serving, as the Procfile says.

    Args:
        plan: where they listen and write.
        supervisor: the process that runs them; None if another quickstart does.
    """

    def __init__(self, plan: Plan, supervisor: Guarded | None = None) -> None:
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
        if self._supervisor:
            _record(self._plan, self._supervisor)

    def check(self) -> None:
        """Make sure that the servers run.

        Raises:
            UnavailableError: one ended by itself.
        """
        if self._supervisor and self._supervisor.wait(0) is not None:
            raise UnavailableError(*_who_ended(self._plan.logs))

    def stay(self) -> None:
        """Stay until Ctrl-C.

        Raises:
            UnavailableError: a server ended by itself.
        """
        if self._supervisor is None:
            say("the servers belong to another quickstart and stay up as long as that does")
            return
        try:
            say("Ctrl-C ends it")
            self._supervisor.wait()
            self.check()
        except KeyboardInterrupt:
            say("ending the servers")


@contextmanager
def running_stack(plan: Plan, running: StackRecord | None) -> Iterator[Stack]:
    """The servers that run already, or new ones that end with the block."""
    if running:
        yield Stack(plan)
        return
    plan.logs.mkdir(parents=True, exist_ok=True)
    (plan.home / "mlflow").mkdir(exist_ok=True)
    with (plan.logs / "supervisor.log").open("wb") as log:
        words = [str(plan.folder / PROCFILE), str(plan.logs)]
        environment = plan.environment(os.environ)
        supervisor = Guarded(
            "handful_trainer.quickstart.supervisor", words, environment, plan.folder, log, _SUPERVISOR_SECONDS
        )
    try:
        _record(plan, supervisor)
        yield Stack(plan, supervisor)
    finally:
        with undisturbed():
            supervisor.end()
            StackRecord.path(plan.home).unlink(missing_ok=True)


def _record(plan: Plan, supervisor: Guarded) -> None:
    StackRecord(
        owner=ProcessMark.of(psutil.Process()),
        port=plan.port,
        mlflow_port=plan.mlflow_port,
        processes=tuple(ProcessMark.of(process) for process in supervisor.processes()),
    ).write(plan.home)


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
