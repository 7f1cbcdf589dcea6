"""A real Prometheus scrapes a real, loaded server: every expression of every panel and every rule has data."""

from __future__ import annotations

import subprocess
from pathlib import Path

import httpx
import pytest

from support.prometheus import MISSING, PROMETHEUS
from support.promql import Expression, measured, metric_names, panel_expressions, rules
from support.waiting import until
from support.watched import Watched

_CONFIGS = Path(__file__).parents[3] / "configs" / "monitoring"
_PANELS = panel_expressions(_CONFIGS / "grafana" / "dashboards")
_RULES = rules(_CONFIGS / "prometheus" / "rules.yml")
_EMPTY_PANELS = {
    "drift: Features that differ": "no feature differs in this load; test_alerts makes one differ",
}
_EMPTY_RULES = {
    'reason=~"queue_full|deadline|pending_bytes"': "this load fills no queue",
    "[6h] offset 1h": "the server has run for less than an hour",
    'outcome="dropped"': "no row was dropped; a disk would have to be full",
    'reason!="loading"': "see HandfulModelRefused below",
}
"""Parts of expressions that give nothing here, and why."""


@pytest.fixture(autouse=True)
def _needs_prometheus() -> None:
    if PROMETHEUS is None:
        pytest.skip(MISSING)


def test_every_target_is_reached(watched: Watched) -> None:
    wanted = {(job, "up", "") for job in ("serving", "monitor", "prometheus", "alertmanager")}

    def reached() -> bool:
        targets = watched.prometheus.get("targets")["activeTargets"]
        return {(one["labels"]["job"], one["health"], one["lastError"]) for one in targets} == wanted

    until(reached, "all targets are reached", seconds=30)


@pytest.mark.parametrize("expression", _PANELS, ids=lambda one: f"{one.place}: {one.text[:40]}")
def test_every_panel_has_data(watched: Watched, expression: Expression) -> None:
    found = watched.prometheus.query(expression.text)
    assert bool(found) is (expression.place not in _EMPTY_PANELS), expression.text
    assert all(sample["value"][1] != "NaN" for sample in found if "confidence" not in expression.text), found


@pytest.mark.parametrize("rule", _RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_every_rule_measures_something(watched: Watched, rule: dict[str, str]) -> None:
    for part in measured(rule["expr"]):
        if not any(words in part.replace(", ", ",") for words in _EMPTY_RULES):
            assert watched.prometheus.query(part), part


def test_every_metric_that_is_asked_for_exists(watched: Watched) -> None:
    asked = {name for one in _PANELS for name in metric_names(one.text)}
    asked |= {name for rule in _RULES for name in metric_names(rule["expr"])}
    assert asked - set(watched.prometheus.get("label/__name__/values")) == set()


def test_only_what_is_wrong_fires(watched: Watched) -> None:
    alerts = watched.prometheus.get("alerts")["alerts"]
    # Others may be pending: a busy machine is slow, and an alert waits for ten minutes of that.
    assert {one["labels"]["alertname"] for one in alerts if one["state"] == "firing"} == {"HandfulModelRefused"}


def test_nothing_but_the_key_reads_the_metrics(watched: Watched) -> None:
    assert httpx.get(f"{watched.serving.url}/metrics").status_code == 401


def test_the_rules_are_loaded_without_errors(watched: Watched) -> None:
    loaded = [rule for group in watched.prometheus.get("rules")["groups"] for rule in group["rules"]]
    assert {rule["name"] for rule in loaded} == {rule.get("alert") or rule["record"] for rule in _RULES}
    assert {rule["lastError"] for rule in loaded if rule.get("lastError")} == set()


def test_promtool_s_cases() -> None:
    cases = Path(__file__).with_name("rules.test.yml")
    done = subprocess.run(["promtool", "test", "rules", cases], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout
