"""A loaded server, a monitor's metrics, and a Prometheus and an Alertmanager that watch them."""

from __future__ import annotations

import json
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import connect

from fakes.packages import build_package, damage, encode, picture
from handful_mlflow.alerting import Receivers, render
from handful_serving.adapters.key_file import KeyFile
from handful_serving.domain.auth import ApiKey, digest_of
from support.monitor_metrics import MonitorMetrics
from support.prometheus import Alertmanager, Prometheus
from support.registering import register
from support.serving_process import ServingProcess
from support.waiting import until

MODEL = "watched"
DASHBOARD = "http://vision.example.com:8080"
_HAND = encode(picture({(2, 3): "5"}))
_USER = {"Authorization": "Bearer secret of user"}
_LOAD_SECONDS = 6.0


class Webhook:
    """Somebody who is told of alerts: what they get is kept."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Watched:
    """All that runs."""

    serving: ServingProcess
    monitor: MonitorMetrics
    prometheus: Prometheus
    alertmanager: Alertmanager
    webhook: Webhook = field(repr=False)


@contextmanager
def watching(root: Path, mlflow: str, configs: Path) -> Iterator[Watched]:
    """Everything runs, and was under load while it was scraped; the newest champion is refused.

    Args:
        root: a folder for all of it.
        mlflow: MLflow's address.
        configs: the folder configs/monitoring.
    """
    key = root / "metrics_key"
    key.write_text("secret of prometheus\n")
    alertmanager, prometheus = Alertmanager(root / "alertmanager"), Prometheus(root / "prometheus")
    webhook = Webhook()
    serving = _serving(root, mlflow, key)
    try:
        with MonitorMetrics() as monitor:
            alertmanager.start(_settings(configs, webhook))
            addresses = {
                "serving:8000": f"127.0.0.1:{serving.port}",
                "monitor:8002": monitor.address,
                "alertmanager:9093": f"127.0.0.1:{alertmanager.port}",
            }
            prometheus.start(configs / "prometheus", addresses, key, DASHBOARD)
            _load(serving, monitor)
            bad = build_package(root / "bad", name=MODEL, sharpness=4.0)
            damage(bad.root, "golden")
            register(mlflow, bad.root, MODEL, ["champion"])
            until(lambda: prometheus.query('handful_champion_pending{reason="golden"}'), "the bad champion is refused")
            _load(serving, monitor)
            yield Watched(serving, monitor, prometheus, alertmanager, webhook)
    finally:
        prometheus.stop()
        serving.stop()
        alertmanager.stop()
        webhook.close()


def _settings(configs: Path, webhook: Webhook) -> dict[str, Any]:
    """As the stack writes them, with short intervals."""
    text = render(configs / "alertmanager" / "alertmanager.yml", Receivers(webhook.url))
    settings: dict[str, Any] = json.loads(text)
    for route in (settings["route"], *settings["route"]["routes"]):
        route |= {"group_wait": "1s", "group_interval": "1s"}
    return settings


def _serving(root: Path, mlflow: str, key: Path) -> ServingProcess:
    register(mlflow, build_package(root / "one", name=MODEL).root, MODEL, ["champion"], {"metrics.mAP50": "0.75"})
    register(mlflow, build_package(root / "two", name=MODEL, sharpness=8.0).root, MODEL, ["challenger"])
    leaves = build_package(root / "leaves", "logits", name="watched-leaves")
    register(mlflow, leaves.root, "watched-leaves", ["champion"])
    serving = ServingProcess(root / "serving", mlflow)
    KeyFile(serving.root / "home" / "keys.json").write(
        [ApiKey("user", digest_of("secret of user"), frozenset({"predict"}))]
    )
    serving.settings = {
        "HANDFUL_SERVING_AUTH": "on",
        "HANDFUL_SERVING_METRICS_KEY_FILE": str(key),
        "HANDFUL_SERVING_MODELS": f"{MODEL},watched-leaves",
        "HANDFUL_SERVING_DEFAULT_MODEL": MODEL,
        "HANDFUL_SERVING_SHADOW_SHARE": "1",
        "HANDFUL_SERVING_PREDICTION_LOG": "true",
    }
    return serving.start()


def _load(serving: ServingProcess, monitor: MonitorMetrics) -> None:
    """Ask all kinds of things for some seconds."""
    end = time.monotonic() + _LOAD_SECONDS
    live = f"ws://127.0.0.1:{serving.port}/ws/predict"
    with (
        httpx.Client(base_url=serving.url, headers=_USER, timeout=60) as http,
        connect(live, compression=None, additional_headers=_USER) as socket,
    ):
        socket.recv(timeout=30)
        for sequence in range(1_000_000):
            if time.monotonic() > end:
                break
            for params in ({}, {"model": "watched-leaves"}, {"source": "camera-1"}):
                http.post("/predict", params=params, files={"image": _HAND}).raise_for_status()
            http.post("/predict", files={"image": b"no image"})
            socket.send(struct.pack(">Id", sequence, 0.0) + _HAND)
            socket.recv(timeout=30)
            monitor.verdict(changed=False)
            time.sleep(0.1)
