"""Of two servers that have a trouble each, you hear of both: what one explains is its own trouble alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from handful_mlflow.alerting import Receivers, render
from support.prometheus import ALERTMANAGER, MISSING, Alertmanager
from support.waiting import until

_LABELS = {"job": "serving", "instance": "one:8000"}


@pytest.fixture(scope="module")
def alertmanager(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    if not ALERTMANAGER:
        pytest.skip(MISSING)
    file = repository / "configs" / "monitoring" / "alertmanager" / "alertmanager.yml"
    settings = json.loads(render(file, Receivers("http://127.0.0.1:9/nobody")))
    running = Alertmanager(tmp_path_factory.mktemp("alertmanager")).start(settings)
    yield running
    running.stop()


def _is_inhibited(alertmanager: Alertmanager, source: dict[str, str], target: dict[str, str]) -> bool:
    """Whether the second alert is not told because of the first one."""
    alerts = [{"labels": labels} for labels in (source, target)]
    httpx.post(f"{alertmanager.url}/api/v2/alerts", json=alerts, timeout=10).raise_for_status()

    def found() -> list[list[str]]:
        return [a["status"]["inhibitedBy"] for a in alertmanager.alerts() if a["labels"] == target]

    until(found, "Alertmanager has the alert", seconds=30)
    return bool(found()[0])


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("HandfulServingDown", "HandfulNoModel"),
        ("HandfulServingDown", "HandfulRegistryAway"),
        ("HandfulMonitorDown", "HandfulMonitorStuck"),
        ("HandfulQueueFull", "HandfulQueueLong"),
        ("HandfulDiskFull", "HandfulDiskFilling"),
    ],
)
def test_a_server_explains_its_own_troubles_alone(alertmanager: Alertmanager, source: str, target: str) -> None:
    test = {"test": f"{source}-{target}"}  # Alerts of one test are not those of another.
    first = {"alertname": source, **_LABELS, **test}
    assert _is_inhibited(alertmanager, first, {"alertname": target, **_LABELS, **test})
    assert not _is_inhibited(alertmanager, first, {"alertname": target, **_LABELS, "instance": "two:8000", **test})


@pytest.mark.parametrize(
    ("source", "target"), [("HandfulServingDown", "HandfulNoPredictions"), ("HandfulQueueFull", "HandfulLatencyP95")]
)
def test_what_is_counted_over_all_servers_is_explained_by_one(
    alertmanager: Alertmanager, source: str, target: str
) -> None:
    assert _is_inhibited(alertmanager, {"alertname": source, **_LABELS}, {"alertname": target, "model": "fingers"})
