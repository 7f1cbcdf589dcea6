"""Expressions of Prometheus' rules and Grafana's panels, taken apart."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser as promql
import yaml

_VARIABLES = {"$__rate_interval": "1m", "$model": ".*", "$source": ".*"}
_COMPARISONS = {"==", "!=", ">", "<", ">=", "<="}
_SETS = {"and", "or", "unless"}


@dataclass(frozen=True, slots=True)
class Expression:
    """One expression, and where it stands."""

    place: str
    text: str


def panel_expressions(folder: Path) -> list[Expression]:
    """Of all panels of the dashboards in a folder, with Grafana's variables filled in."""
    return [
        Expression(f"{path.stem}: {panel['title']}", _filled(target["expr"]))
        for path in sorted(folder.glob("*.json"))
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]
        for target in panel["targets"]
    ]


def rules(path: Path) -> list[dict[str, Any]]:
    """The rules of a file."""
    return [rule for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]


def _filled(text: str) -> str:
    for name, value in _VARIABLES.items():
        text = text.replace(name, value)
    assert "$" not in re.sub(r'"[^"]*"', "", text), text
    return text


def measured(text: str) -> list[str]:
    """What an alert's expression compares: without its limits, each side of a set operation by itself."""
    return [node.prettify() for node in _measured(promql.parse(text))]


def _measured(node: Any) -> Iterator[Any]:
    while isinstance(node, promql.ParenExpr):
        node = node.expr
    if isinstance(node, promql.BinaryExpr) and str(node.op) in _SETS:
        yield from _measured(node.lhs)
        yield from _measured(node.rhs)
    elif isinstance(node, promql.BinaryExpr) and str(node.op) in _COMPARISONS:
        yield from _measured(node.lhs)
    else:
        yield node


def metric_names(text: str) -> set[str]:
    """The metrics that an expression asks for."""
    return set(_names(promql.parse(text)))


def _names(node: Any) -> Iterator[str]:
    if isinstance(node, promql.VectorSelector):
        yield node.name
    elif isinstance(node, promql.MatrixSelector):
        yield node.vector_selector.name
    elif isinstance(node, promql.BinaryExpr):
        yield from _names(node.lhs)
        yield from _names(node.rhs)
    elif isinstance(node, promql.Call):
        for argument in node.args:
            yield from _names(argument)
    elif isinstance(node, promql.AggregateExpr | promql.ParenExpr | promql.UnaryExpr | promql.SubqueryExpr):
        yield from _names(node.expr)
