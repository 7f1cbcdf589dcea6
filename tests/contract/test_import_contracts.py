"""The contracts of pyproject.toml, which import-linter checks, leave nothing out: `scripts/test.sh` runs it."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def linter(repository: Path) -> dict[str, Any]:
    settings: dict[str, Any] = tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["importlinter"]
    return settings


def _imported(folder: Path) -> Iterator[str]:
    """The packages that the modules below a folder import."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node.module.partition(".")[0]


def test_every_service_is_under_contract(repository: Path, linter: dict[str, Any]) -> None:
    services = {path.name for path in repository.glob("services/*/src/handful*")}
    scripts = {path.parent.name for path in repository.glob("scripts/*/__init__.py")}
    assert set(linter["root_packages"]) == services | scripts


def test_serving_s_domain_may_import_nothing_that_serving_and_core_bring(
    repository: Path, linter: dict[str, Any]
) -> None:
    """Any other package deptry refuses in the whole service: it is not declared."""
    imported = {name for service in ("core", "serving") for name in _imported(repository / "services" / service)}
    third_party = {name for name in imported - sys.stdlib_module_names if not name.startswith("handful")}
    contracts = {contract["name"]: set(contract.get("forbidden_modules", ())) for contract in linter["contracts"]}
    domain = contracts["Serving: the domain knows no framework"]
    service = contracts["Serving needs neither PyTorch nor MLflow nor another service"]
    assert len(third_party) > 10
    assert third_party - domain - service == set()
