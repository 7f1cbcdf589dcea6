"""docs/monitoring.md names every setting of the monitor with its default, every route and every metric."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from handful_monitor.api.app import create_app
from handful_monitor.api.metrics import metrics_of
from handful_monitor.api.state import ApiState
from handful_monitor.domain.verdict import Stream
from handful_monitor.settings import MonitorSettings
from handful_monitor.standing import RunReference, Standing
from handful_monitor.traffic import TrafficCounter
from support.captured import review_store


@pytest.fixture(scope="module")
def text(repository: Path) -> str:
    return (repository / "docs" / "monitoring.md").read_text(encoding="utf-8")


def test_every_setting_is_there_with_its_default(text: str) -> None:
    rows = dict(re.findall(r"^\| `HANDFUL_MONITOR_([A-Z_]+)` \|([^|]*)\|", text, re.MULTILINE))
    fields = MonitorSettings.model_fields
    assert set(rows) == {name.upper() for name in fields}
    for name, field in fields.items():
        assert rows[name.upper()].strip() == ("" if field.default is None else f"`{field.default}`"), name


def test_every_route_is_there(text: str) -> None:
    app = create_app(ApiState(MonitorSettings(), Standing(7), TrafficCounter(7), "", review_store()))
    for path in app.openapi()["paths"]:
        assert re.search(rf"^\| `{path}[`?]", text, re.MULTILINE), path


def test_every_metric_is_there_with_its_labels(text: str) -> None:
    standing = Standing(7)
    feature = {"name": "brightness", "value": 2.0, "threshold": 1.0, "changed": True}
    document = {"verdict": "changed", "window": {"rows": 250}, "features": [feature]}
    standing.keep(Stream("fingers", "3", ""), datetime.now(UTC), document, RunReference("1", "2"))
    standing.end_round()
    samples = [sample for family in metrics_of(standing).collect() for sample in family.samples]
    found = {
        sample.name + ("{" + ",".join(sample.labels) + "}" if sample.labels else "")
        for sample in samples
        if sample.name.startswith("handful_")
    }
    assert set(re.findall(r"^\| `(handful_[a-z_]+(?:\{[a-z,]+\})?)` \|", text, re.MULTILINE)) == found
