"""What goes wrong reaches Alertmanager, and somebody's webhook, within seconds."""

from __future__ import annotations

from typing import Any

from support.waiting import until
from support.watched import DASHBOARD, Watched


def _alerts(watched: Watched, name: str) -> list[dict[str, Any]]:
    return [alert for alert in watched.alertmanager.alerts() if alert["labels"]["alertname"] == name]


def _told(watched: Watched, name: str, status: str) -> bool:
    alerts = [alert for message in list(watched.webhook.messages) for alert in message["alerts"]]
    return any((alert["labels"]["alertname"], alert["status"]) == (name, status) for alert in alerts)


def test_a_change_is_told_within_seconds_and_ends(watched: Watched) -> None:
    assert _alerts(watched, "HandfulDrift") == []
    watched.monitor.verdict(changed=True)
    until(lambda: _alerts(watched, "HandfulDrift"), "the alert is there", seconds=30)
    (alert,) = _alerts(watched, "HandfulDrift")
    assert alert["labels"] == {
        "alertname": "HandfulDrift",
        "model": "fingers",
        "version": "1",
        "source": "camera-1",
        "severity": "warning",
    }
    assert alert["annotations"]["dashboard"] == f"{DASHBOARD}/#monitoring"
    assert alert["annotations"]["runbook_url"] == "docs/alerts.md#handfuldrift"
    assert "from camera-1" in alert["annotations"]["description"]
    until(lambda: _told(watched, "HandfulDrift", "firing"), "the webhook is told", seconds=30)
    assert watched.prometheus.query('handful_drift_feature{model=~".*"} >= 1')
    watched.monitor.verdict(changed=False)
    until(lambda: not _alerts(watched, "HandfulDrift"), "the alert is over", seconds=30)
    until(lambda: _told(watched, "HandfulDrift", "resolved"), "the webhook is told so", seconds=30)


def test_a_refused_champion_is_told(watched: Watched) -> None:
    until(lambda: _alerts(watched, "HandfulModelRefused"), "the alert is there", seconds=30)
    (alert,) = _alerts(watched, "HandfulModelRefused")
    assert (alert["labels"]["model"], alert["labels"]["reason"]) == ("watched", "golden")
