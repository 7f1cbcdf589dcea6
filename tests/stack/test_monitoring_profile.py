"""The profile `monitoring`: a real Prometheus and Alertmanager in the stack, and an alert when serving is gone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.mlflow_server import free_port
from support.prometheus import ALERTMANAGER
from support.stack import Stack, docker
from support.waiting import until

_PUBLIC = "prom/alertmanager:v0.28.1"
_TEMPLATES = "/usr/share/prometheus/alertmanager"
"""Where Debian's Alertmanager looks for them."""
_STARTED = ("prometheus", "alertmanager", "monitor")
"""All of the profile but Grafana, whose image not every machine can get."""


@pytest.fixture(scope="module")
def alertmanager_image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The public image where it is, else this machine's Alertmanager beside the wget of Prometheus' image."""
    if docker("image", "ls", "--quiet", _PUBLIC).strip():
        return _PUBLIC
    if ALERTMANAGER is None:
        pytest.skip(f"there is neither {_PUBLIC} nor the package prometheus-alertmanager")
    folder = tmp_path_factory.mktemp("alertmanager")
    shutil.copy(ALERTMANAGER, folder / "alertmanager")
    shutil.copytree(_TEMPLATES, folder / "templates")
    lines = [
        "FROM prom/prometheus:v3.5.0",
        "COPY alertmanager /bin/alertmanager",
        f"COPY templates {_TEMPLATES}",
        'ENTRYPOINT ["/bin/alertmanager"]',
    ]
    (folder / "Dockerfile").write_text("\n".join(lines))
    docker("build", "--tag", "handful-test/alertmanager", str(folder))
    return "handful-test/alertmanager"


@pytest.fixture
def monitored(stack: Stack, alertmanager_image: str) -> Iterator[Stack]:
    ports = {name: free_port() for name in ("PROMETHEUS_PORT", "ALERTMANAGER_PORT")}
    settings = {"MONITOR_EXTRAS": "none", "ALERTMANAGER_IMAGE": alertmanager_image}
    stack.ports.update(ports)
    stack.settings.update(settings)
    try:
        stack.compose_output("--profile", "monitoring", "build", "monitor", timeout=900)
        stack.compose_output("--profile", "monitoring", "up", "--wait", *_STARTED, timeout=300)
        yield stack
    finally:
        stack.compose_output("--profile", "monitoring", "rm", "--stop", "--force", *_STARTED)
        stack.compose_output("up", "--wait", "serving")
        for name in (*ports, *settings):
            stack.ports.pop(name, None)
            stack.settings.pop(name, None)


def _prometheus(stack: Stack, path: str) -> Any:
    return httpx.get(f"{stack.url('PROMETHEUS_PORT')}/api/v1/{path}", timeout=30).json()["data"]


def _alerts(stack: Stack) -> set[str]:
    found = httpx.get(f"{stack.url('ALERTMANAGER_PORT')}/api/v2/alerts", timeout=30).json()
    return {alert["labels"]["alertname"] for alert in found}


def _up(stack: Stack) -> dict[str, str]:
    return {each["labels"]["job"]: each["health"] for each in _prometheus(stack, "targets")["activeTargets"]}


@pytest.mark.slow
def test_what_compose_starts_is_scraped_and_its_loss_is_an_alert(monitored: Stack, repository: Path) -> None:
    expected = {"serving": "up", "monitor": "up", "prometheus": "up", "alertmanager": "up"}
    until(lambda: expected.items() <= _up(monitored).items(), "Prometheus scrapes all that it is to")
    written = (repository / "configs" / "monitoring" / "prometheus" / "rules.yml").read_text()
    alerts = [rule for rule in _rules(monitored) if rule["type"] == "alerting"]
    assert len(alerts) == written.count("- alert:") >= 20
    until(lambda: {rule["health"] for rule in _rules(monitored)} == {"ok"}, "all rules are evaluated without an error")
    assert "HandfulServingDown" not in _alerts(monitored)

    monitored.compose_output("stop", "serving")
    until(lambda: "HandfulServingDown" in _alerts(monitored), "Alertmanager is told that serving is down", seconds=240)
    monitored.compose_output("up", "--wait", "serving")
    until(lambda: "HandfulServingDown" not in _alerts(monitored), "the alert is resolved", seconds=600)


def _rules(stack: Stack) -> list[Any]:
    return [rule for group in _prometheus(stack, "rules")["groups"] for rule in group["rules"]]
