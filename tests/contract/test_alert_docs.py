"""docs/alerts.md has a section for each alert, and the files of the monitoring fit together."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from support.promql import measured, metric_names, panel_expressions, rules

_CONFIGS = Path(__file__).parents[2] / "configs" / "monitoring"
_RULES = rules(_CONFIGS / "prometheus" / "rules.yml")
_ALERTS = [rule for rule in _RULES if "alert" in rule]
_DASHBOARDS = sorted((_CONFIGS / "grafana" / "dashboards").glob("*.json"))
_FOREIGN = {"up", "process_cpu_seconds_total", "process_resident_memory_bytes"}


def _board(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def test_each_alert_has_its_section_and_case(repository: Path) -> None:
    page = (repository / "docs" / "alerts.md").read_text(encoding="utf-8")
    names = {rule["alert"] for rule in _ALERTS}
    assert set(re.findall(r"^## (Handful\w+)$", page, re.MULTILINE)) == names
    overview = (repository / "docs" / "monitoring.md").read_text(encoding="utf-8")
    assert set(re.findall(r"alerts\.md#(handful\w+)", overview)) == {name.lower() for name in names}
    cases = yaml.safe_load(
        (repository / "tests" / "integration" / "alerts" / "rules.test.yml").read_text(encoding="utf-8")
    )
    tried = [one for case in cases["tests"] for one in case["alert_rule_test"]]
    assert {one["alertname"] for one in tried if one["exp_alerts"]} == names
    assert {one["alertname"] for one in tried if not one["exp_alerts"]} == names


@pytest.mark.parametrize("rule", _ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_it_is_and_where_to_look(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert set(rule["annotations"]) == {"summary", "description", "dashboard", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/alerts.md#{rule['alert'].lower()}"


def test_inhibitions_name_alerts_that_are_there() -> None:
    settings = yaml.safe_load((_CONFIGS / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8"))
    names = [rule["alert"] for rule in _ALERTS]
    for inhibition in settings["inhibit_rules"]:
        for matcher in (*inhibition["source_matchers"], *inhibition["target_matchers"]):
            (pattern,) = re.findall(r'^alertname=~?"(.+)"$', matcher)
            for part in pattern.split("|"):
                assert any(re.fullmatch(part, name) for name in names), part


def test_every_metric_is_documented_or_the_monitor_s(repository: Path) -> None:
    asked = {name for one in panel_expressions(_CONFIGS / "grafana" / "dashboards") for name in metric_names(one.text)}
    asked |= {name for rule in _RULES for name in metric_names(rule["expr"])}
    recorded = {rule["record"] for rule in _RULES if "record" in rule}
    page = (repository / "docs" / "serving.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"`(handful_[a-z_]+)`", page))
    plain = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in asked - recorded - _FOREIGN}
    others = {name for name in plain - documented if not name.startswith(("handful_drift_", "handful_monitor_"))}
    assert others == {"handful_mlflow_up"}


@pytest.mark.parametrize("path", _DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_can_be_read_and_its_panels_do_not_overlap(path: Path) -> None:
    text, board = path.read_text(encoding="utf-8"), _board(path)
    assert board["uid"] == f"handful-{path.stem}"
    assert not board["editable"]
    assert max(map(len, text.splitlines())) <= 260
    taken: set[tuple[int, int]] = set()
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["datasource"] == {"type": "prometheus", "uid": "prometheus"}


def test_there_are_four_dashboards_and_the_home_one_is_among_them() -> None:
    assert [path.stem for path in _DASHBOARDS] == ["drift", "model", "service", "training"]
    ini = (_CONFIGS / "grafana" / "grafana.ini").read_text(encoding="utf-8")
    assert "default_home_dashboard_path = /etc/grafana/dashboards/service.json" in ini
    assert "admin_password = $__file{/run/secrets/grafana/grafana_password}" in ini


def test_data_sources_are_where_the_stack_has_them(repository: Path) -> None:
    text = (_CONFIGS / "grafana" / "provisioning" / "datasources" / "handful.yml").read_text(encoding="utf-8")
    assert {one["uid"]: one["url"] for one in yaml.safe_load(text)["datasources"]} == {
        "prometheus": "http://prometheus:9090",
        "alertmanager": "http://alertmanager:9093",
    }
    stack = yaml.safe_load((repository / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    for name in ("prometheus", "alertmanager", "grafana"):
        words = stack[name]
        assert (words["profiles"], words["networks"], words["read_only"]) == (["monitoring"], ["edge"], True)
        assert words["cap_drop"] == ["ALL"]
        assert not words["user"].startswith("0")
        assert "mem_limit" in words
        assert "docker.sock" not in json.dumps(words["volumes"])


def test_expressions_are_taken_apart_rightly() -> None:
    text = 'a{x="1"} > 2 and (rate(b[5m]) / c >= 0.5) unless on (i) sum(increase(d_total[1h] offset 1h)) == 0'
    assert measured(text) == ['a{x="1"}', "rate(b[5m]) / c", "sum(increase(d_total[1h] offset 1h))"]
    assert metric_names(text) == {"a", "b", "c", "d_total"}
    with pytest.raises(ValueError, match="unclosed left parenthesis"):
        promql_parser.parse("sum by (model (x)")
