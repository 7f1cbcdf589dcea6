"""Numbers of versions, where MLflow has given some that it no longer shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from support.backed_up_mlflow import Handful, Mlflow

_API = "/api/2.0/mlflow"


@pytest.mark.parametrize(("hidden", "number"), [(0, 3), (1, 3), (2, 4)])
def test_a_gap_is_counted_with_the_numbers_that_deleted_versions_have(
    live: Mlflow, handful: Handful, tmp_path: Path, capsys: pytest.CaptureFixture[str], hidden: int, number: int
) -> None:
    name = f"gap {hidden}"
    _ask(live, "POST", "registered-models/create", name=name)
    for _ in range(3):
        _make(live, name)
    _delete(live, name, "2")
    backup = tmp_path / "b.zip"
    assert handful("export", "--out", backup, "--model", name, server=live.server) == 0
    words = ["import", backup, "--rename-prefix", "copy-"]
    assert handful(*words, "--model", f"{name}/1", server=live.server) == 0
    for _ in range(hidden):  # As an import does that is broken off then.
        _delete(live, f"copy-{name}", _make(live, f"copy-{name}"))
    capsys.readouterr()
    assert handful(*words, server=live.server) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert (f"model copy-{name}: version 3 becomes 4: its number was used" in said) == (number != 3)
    found = _ask(live, "GET", f"model-versions/search?filter=name%3D'copy-{name}'")["model_versions"]
    assert {version["version"] for version in found} == {"1", str(number)}
    assert not [tag for version in found for tag in version["tags"] if tag["key"] == "handful.filler"]
    assert handful(*words, server=live.server) == 0
    assert "nothing to do" in capsys.readouterr().err


def _make(mlflow: Mlflow, name: str) -> str:
    made = _ask(mlflow, "POST", "model-versions/create", name=name, source="s3://elsewhere/model")
    return str(made["model_version"]["version"])


def _delete(mlflow: Mlflow, name: str, version: str) -> None:
    _ask(mlflow, "DELETE", "model-versions/delete", name=name, version=version)


def _ask(mlflow: Mlflow, method: str, path: str, **body: object) -> dict[str, Any]:
    answer = httpx.request(method, f"{mlflow.server.uri}{_API}/{path}", json=body, timeout=60)
    return dict(answer.raise_for_status().json())
