"""Starting and ending what is compared; how much memory it has."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PATHS = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])}
"""What is started finds the benchmarks, and Handful where this process does."""
_SECONDS = 180


@dataclass
class Server:
    """A running server."""

    process: subprocess.Popen[bytes]
    port: int
    start_seconds: float

    @property
    def rss(self) -> float:
        """Megabytes of memory of it and all it started."""
        return sum(_rss(pid) for pid in _family(self.process.pid))


@contextmanager
def server(words: list[str], port: int, log: Path, environment: dict[str, str] | None = None) -> Iterator[Server]:
    """A server, until the end of the block."""
    started = time.perf_counter()
    environ = os.environ | _PATHS | (environment or {})
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *words], stdout=output, stderr=output, env=environ, start_new_session=True
        )
    try:
        _wait(process, port, log)
        yield Server(process, port, time.perf_counter() - started)
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
        with suppress(ProcessLookupError):  # LitServe leaves its workers behind.
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Bare:
    """The bare session in a process of its own."""

    def __init__(self, model: Path, threads: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.contenders.bare", str(model), str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | _PATHS,
        )  # fmt: skip
        self._answer()

    def latency(self, times: int) -> list[float]:
        """Milliseconds of so many runs."""
        return [float(ms) for ms in self._tell(f"latency {times}")]

    def spinning(self, times: int) -> list[float]:
        """The same of a session whose threads spin, also for a while after the last run."""
        return [float(ms) for ms in self._tell(f"spinning {times}")]

    def throughput(self, callers: int, seconds: float) -> float:
        """Runs a second."""
        return float(self._tell(f"throughput {callers} {seconds}"))

    def close(self) -> None:
        """End it."""
        self._process.communicate()

    def _tell(self, line: str) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        for path in ("/health/ready", "/health"):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                    if answer.status == 200:
                        return
            except urllib.error.HTTPError:
                continue
            except OSError:
                break
        time.sleep(0.02)
    raise RuntimeError(f"{process.args!r} did not start:\n{log.read_text(errors='replace')[-3000:]}")


def _family(pid: int) -> list[int]:
    children = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        children += [int(child) for child in task.read_text().split()]
    return [pid, *(one for child in children for one in _family(child))]


def _rss(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0
