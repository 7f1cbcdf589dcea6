"""A real MLflow server for tests: SQLite and artifacts in a folder unless others are named, one worker, a free port."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

_START_SECONDS = 300
_STOP_SECONDS = 15
_UNHANDLED = "Exception on /"
"""How Flask begins to log what its program did not catch."""


def free_port() -> int:
    """A port that was free a moment ago: below those that systems give away, which are soon somebody else's."""
    while True:
        port = random.randint(15_000, 32_000)  # noqa: S311  # No secret.
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@dataclass
class MlflowServer:
    """An MLflow server below `root`; what it stores survives `stop` and `start`."""

    root: Path
    port: int = field(default_factory=free_port)
    database: str = ""
    """A URL; SQLite below `root` if empty."""
    artifacts: str = ""
    """A folder or an S3 bucket; a folder below `root` if empty."""
    environment: dict[str, str] = field(default_factory=dict)
    """More for its process."""
    _process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """What it printed."""
        return self.root / "mlflow.log"

    def start(self) -> MlflowServer:
        """Start it and wait until it answers."""
        self.root.mkdir(parents=True, exist_ok=True)
        words = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        words += ["--workers", "1", "--backend-store-uri", self.database or f"sqlite:///{self.root / 'mlflow.db'}"]
        words += ["--artifacts-destination", self.artifacts or str(self.root / "artifacts")]
        words += ["--allowed-hosts", "127.0.0.1:*,localhost:*"]
        settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                words,
                stdout=log,
                stderr=log,
                env=os.environ | settings | self.environment,
                cwd=self.root,
                start_new_session=True,
            )
        try:
            self._wait()
        except RuntimeError:
            self.kill()
            raise
        return self

    def kill(self) -> None:
        """End it at once, workers too."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in peace. What it could not handle is told: its answer 500 says nothing of the cause."""
        self._end(signal.SIGTERM)
        log = self.log.read_text(errors="replace")
        if (place := log.find(_UNHANDLED)) >= 0:
            print(log[place : place + 4000], file=sys.stderr)  # pytest shows it beside a test that fails.

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        with suppress(ProcessLookupError):  # It may have ended by itself.
            os.killpg(self._process.pid, how)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(_STOP_SECONDS)
        self._process = None

    def _wait(self) -> None:
        assert self._process is not None
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until:
            if self._process.poll() is not None:
                raise RuntimeError(f"MLflow ended at once:\n{self.log.read_text()[-4000:]}")
            try:
                if httpx.get(f"{self.uri}/health", timeout=2).is_success:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        raise RuntimeError(f"MLflow did not answer within {_START_SECONDS} s:\n{self.log.read_text()[-4000:]}")
