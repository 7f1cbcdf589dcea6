"""The layers of serving, as its imports show them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_STANDARD = sys.stdlib_module_names


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield node.module or ""


def layer(repository: Path, name: str) -> list[Path]:
    files = sorted((repository / "services" / "serving" / "src" / "handful_serving" / name).glob("*.py"))
    assert files
    return files


def test_the_domain_knows_no_framework(repository: Path) -> None:
    allowed = ("handful_core.", "handful_serving.domain.", "handful_serving.concurrency.", "handful_serving.errors")
    for path in layer(repository, "domain"):
        for name in imports_of(path):
            assert name.split(".")[0] in _STANDARD or name.startswith(allowed), f"{path.name} imports {name}"


@pytest.mark.parametrize(
    ("name", "forbidden"), [("adapters", "handful_serving.api"), ("domain", "handful_serving.adapters")]
)
def test_no_layer_looks_up(repository: Path, name: str, forbidden: str) -> None:
    for path in layer(repository, name):
        assert not [found for found in imports_of(path) if found.startswith(forbidden)], path.name
