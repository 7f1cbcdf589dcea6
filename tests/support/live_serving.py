"""The real serving application with the dashboard, on a port of its own; only MLflow behind it is in memory.

with LiveServing(tmp_path, dashboard=folder) as serving:
    serving.mlflow.register(build_package(tmp_path / "package"), aliases=["champion"])
    httpx.get(f"{serving.url}/api/models")
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
import uvicorn

from fakes.registry import FakeMlflow
from handful_core.registry import Registry
from handful_core.registry.monitoring import REVIEW_PREFIX, MonitoringExperiments
from handful_core.settings import CoreSettings
from handful_serving.app import create_app
from handful_serving.server.protocols import BoundedHttpProtocol, BoundedWebSocketProtocol
from handful_serving.settings import ServingSettings
from support.mlflow_server import free_port

_SECONDS = 120


@dataclass
class LiveServing:
    """Serving, started and stopped at will; what it cached survives, and the port stays the same.

    Args:
        root: a folder for its cache.
        dashboard: the folder of the dashboard, if it shall serve one.
        settings: other settings of serving.
    """

    root: Path
    dashboard: Path | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    mlflow: FakeMlflow = field(default_factory=FakeMlflow)
    port: int = field(default_factory=free_port)
    _server: uvicorn.Server | None = None
    _thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it listens."""
        given = {"poll_seconds": 0.1, "threads": 1, "inference_backend": "onnxruntime", "dashboard_dir": self.dashboard}
        given |= self.settings
        registry = Registry("http://mlflow", attempts=1, transport=self.mlflow.transport())
        experiments = MonitoringExperiments("http://mlflow", attempts=1, transport=self.mlflow.transport())
        captured = MonitoringExperiments("http://mlflow", 5, 1, self.mlflow.transport(), REVIEW_PREFIX)
        core = CoreSettings(home=self.root)
        app = create_app(
            ServingSettings(**given), core, registry=registry, probe=False, experiments=experiments, captured=captured
        )
        config = uvicorn.Config(
            app,
            port=self.port,
            log_config=None,
            access_log=False,
            http=BoundedHttpProtocol,
            ws=BoundedWebSocketProtocol,
            lifespan="on",
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, name="live-serving", daemon=True)
        self._thread.start()
        until = time.monotonic() + _SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > until:
                raise RuntimeError("serving did not start")
            time.sleep(0.01)

    def wait_until_ready(self) -> None:
        """Wait until it has loaded a model."""
        until = time.monotonic() + _SECONDS
        while not httpx.get(f"{self.url}/health/ready").is_success:
            assert time.monotonic() < until, "serving did not become ready"
            time.sleep(0.05)

    def stop(self) -> None:
        """End it, breaking connections that are still open."""
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(_SECONDS)
        assert not self._thread.is_alive(), "serving did not end"
        self._server = self._thread = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
