"""`handful serve` as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from support.mlflow_server import free_port

_SECONDS = 90


@dataclass
class ServingProcess:
    """A serving process with its home below `root`; what it cached survives `stop` and `start`."""

    root: Path
    mlflow_uri: str
    settings: dict[str, str] = field(default_factory=dict)
    """More environment variables."""
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What it printed."""
        return (self.root / "serving.log").read_text()

    def start(self, *, ready: bool = True) -> ServingProcess:
        """Start it, and wait until it is ready (or listens)."""
        self.root.mkdir(parents=True, exist_ok=True)
        settings = {
            "HANDFUL_HOME": str(self.root / "home"),
            "HANDFUL_MLFLOW_URI": self.mlflow_uri,
            "HANDFUL_SERVING_POLL_SECONDS": "0.2",
            "HANDFUL_SERVING_PORT": str(self.port),
            "HANDFUL_SERVING_INFERENCE_BACKEND": "onnxruntime",  # As where OpenVINO is not installed.
            "HANDFUL_SERVING_PREDICTION_LOG": "false",  # It would write into the MLflow that a test compares.
        }
        with (self.root / "serving.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "handful_core", "serve"], stdout=log, stderr=log,
                env=os.environ | settings | self.settings,
            )  # fmt: skip
        self.wait("/health/ready" if ready else "/health/live")
        return self

    def wait(self, path: str) -> None:
        """Wait until a path answers with success."""
        until = time.monotonic() + _SECONDS
        while time.monotonic() < until:
            if self._process is None or self._process.poll() is not None:
                raise RuntimeError(f"serving ended:\n{self.log}")
            try:
                if httpx.get(self.url + path, timeout=10).is_success:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise RuntimeError(f"{path} did not succeed within {_SECONDS} s:\n{self.log}")

    def tell(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Tell it to end, without waiting."""
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it; its exit status."""
        if self._process is None:
            return 0
        self.tell(number)
        return self.end()

    def end(self) -> int:
        """Wait for its end; its exit status."""
        assert self._process is not None
        status = self._process.wait(_SECONDS)
        self._process = None
        return status
