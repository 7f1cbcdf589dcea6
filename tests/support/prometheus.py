"""A real Prometheus and Alertmanager with the files of configs/monitoring, on free ports and with short intervals."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from support.mlflow_server import free_port

PROMETHEUS = shutil.which("prometheus")
ALERTMANAGER = shutil.which("alertmanager") or shutil.which("prometheus-alertmanager")
"""Debian has another program of the shorter name's place."""
MISSING = "there is no Prometheus with Alertmanager: install the packages prometheus and prometheus-alertmanager"
_SECONDS = 60


@dataclass
class _Server:
    """A program that listens and says when it is ready."""

    root: Path
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def _start(self, words: list[str], environment: Mapping[str, str] | None = None) -> None:
        log = self.root / f"{type(self).__name__}.log"
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                words, stdout=out, stderr=out, cwd=self.root, env={**os.environ, **(environment or {})}
            )
        until = time.monotonic() + _SECONDS
        while True:
            assert self._process.poll() is None, log.read_text()
            try:
                if httpx.get(f"{self.url}/-/ready", timeout=5).is_success:
                    return
            except httpx.TransportError:
                pass
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_SECONDS)
            self._process = None


@dataclass
class Alertmanager(_Server):
    """An Alertmanager; `start` takes its settings."""

    def start(self, settings: dict[str, Any]) -> Alertmanager:
        """Start it."""
        assert ALERTMANAGER, MISSING
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / "alertmanager.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        words = [ALERTMANAGER, f"--config.file={self.root / 'alertmanager.yml'}", "--cluster.listen-address="]
        self._start([*words, f"--storage.path={self.root}", f"--web.listen-address=127.0.0.1:{self.port}"])
        return self

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that it has."""
        found: list[dict[str, Any]] = httpx.get(f"{self.url}/api/v2/alerts", timeout=10).raise_for_status().json()
        return found


@dataclass
class Prometheus(_Server):
    """A Prometheus; `start` takes its settings and rules from the checkout, and asks other addresses."""

    def start(self, configs: Path, addresses: Mapping[str, str], key: Path, dashboard: str) -> Prometheus:
        """Start it.

        Args:
            configs: the folder of prometheus.yml and rules.yml.
            addresses: where each host and port of prometheus.yml is here. Jobs that are not among them are left out.
            key: the file of the key for serving's metrics.
            dashboard: the dashboard's address.
        """
        assert PROMETHEUS, MISSING
        self.root.mkdir(parents=True, exist_ok=True)
        settings = yaml.safe_load((configs / "prometheus.yml").read_text(encoding="utf-8"))
        settings["global"] |= {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "1s"}
        jobs = [job for job in settings["scrape_configs"] if _moved(job, addresses | {"localhost:9090": self.address})]
        for job in jobs:
            if "authorization" in job:
                job["authorization"]["credentials_file"] = str(key)
        settings["scrape_configs"] = jobs
        for manager in settings["alerting"]["alertmanagers"]:
            assert _moved(manager, addresses)
        (self.root / "prometheus.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        shutil.copy(configs / "rules.yml", self.root)
        words = [
            PROMETHEUS,
            f"--config.file={self.root / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.root / 'data'}",
        ]
        words += [f"--web.listen-address={self.address}", "--enable-feature=expand-external-labels"]
        self._start(words, {"DASHBOARD_PAGE": dashboard})
        return self

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What an expression gives now."""
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=30)
        assert answer.is_success, f"{expression}: {answer.text}"
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return found

    def get(self, path: str) -> Any:
        """The data of an answer of its API."""
        return httpx.get(f"{self.url}/api/v1/{path}", timeout=30).raise_for_status().json()["data"]


def _moved(job: dict[str, Any], addresses: Mapping[str, str]) -> bool:
    """Put in addresses that are here; whether there is any."""
    for group in job["static_configs"]:
        group["targets"] = [addresses[target] for target in group["targets"] if target in addresses]
    return any(group["targets"] for group in job["static_configs"])
