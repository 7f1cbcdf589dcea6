"""The servers, MLflow, serving and perhaps the monitor: started, watched and stopped."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from handful_core.console import say
from handful_core.errors import UnavailableError
from handful_quickstart.plan import PROCFILE, Plan
from handful_quickstart.process import ChildProcess, signals_ignored

_START_SECONDS = 300


class Servers:
    """MLflow, serving and perhaps the monitor, as the Procfile says.

    Args:
        plan: where they listen and write.
        processes: their processes by name.
    """

    def __init__(self, plan: Plan, processes: Mapping[str, ChildProcess]) -> None:
        self._plan = plan
        self._processes = processes

    def wait_until_up(self) -> None:
        """Wait until all answer.

        Raises:
            UnavailableError: one ended, or does not answer in time.
        """
        until = time.monotonic() + _START_SECONDS
        for name, url in self._plan.servers.items():
            while not _answers(url):
                self.check()
                if time.monotonic() > until:
                    raise UnavailableError(
                        f"{name} does not answer at {url} after {_START_SECONDS} s",
                        f"see {self._plan.logs / name}.log",
                    )
                time.sleep(0.2)
        for process in self._processes.values():
            process.tree()  # Remembers the workers: they are to be stopped even if their parent is killed.

    def check(self) -> None:
        """Make sure that the servers run.

        Raises:
            UnavailableError: one ended by itself.
        """
        for name, process in self._processes.items():
            if (code := process.wait(0)) is not None:
                raise UnavailableError(f"{name} ended by itself with code {code}", f"see {self._plan.logs / name}.log")

    def stay(self) -> None:
        """Stay until Ctrl-C.

        Raises:
            UnavailableError: a server ended by itself.
        """
        try:
            say("Ctrl-C ends it")
            while True:
                self.check()
                time.sleep(0.5)
        except KeyboardInterrupt:
            say("ending the servers")


@contextmanager
def running_servers(plan: Plan) -> Iterator[Servers]:
    """The servers, which are stopped when the block ends."""
    plan.logs.mkdir(parents=True, exist_ok=True)
    (plan.home / "mlflow").mkdir(exist_ok=True)
    processes: dict[str, ChildProcess] = {}
    try:
        for name, command in _commands(plan.folder / PROCFILE):
            if name != "monitor" or plan.monitor:
                processes[name] = _start(name, command, plan)
        yield Servers(plan, processes)
    finally:
        with signals_ignored():
            for process in processes.values():
                process.ask_to_stop()
            for process in processes.values():
                process.stop()


def _commands(procfile: Path) -> Iterator[tuple[str, str]]:
    """The names and commands of a Procfile."""
    for line in procfile.read_text(encoding="utf-8").splitlines():
        name, colon, command = line.partition(":")
        if colon and not name.startswith("#"):
            yield name, command.strip()


def _start(name: str, command: str, plan: Plan) -> ChildProcess:
    path = plan.logs / f"{name}.log"
    if path.exists():
        path.replace(path.with_suffix(".log.1"))
    with path.open("wb") as log:
        return ChildProcess("shell", [command], plan.environment(os.environ), plan.folder, log)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).is_success
    except httpx.TransportError:
        return False
