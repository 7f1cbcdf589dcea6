from __future__ import annotations

import os
from pathlib import Path

import pytest

from handful_quickstart.plan import Plan
from support.mlflow_server import free_port

_PROCFILE = """
mlflow: exec python -m fakes.answering MLFLOW_PORT
serve: exec python -m fakes.answering HANDFUL_SERVING_PORT
"""


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """A plan whose servers are small ones that only answer."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv("PATH", os.environ["PATH"])
    (tmp_path / "Procfile").write_text(_PROCFILE)
    return Plan(tmp_path, tmp_path / "var", Path("none"), free_port(), free_port())
