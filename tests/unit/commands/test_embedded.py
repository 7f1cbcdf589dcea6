"""Where a backup goes: to the quickstart that runs, or to the stack."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commands import jobs
from commands.embedded import embedded_mlflow


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home folder in which a quickstart runs."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "servers.json").write_text(json.dumps({"server": address, "mlflow_uri": address}))
        monkeypatch.setenv("HANDFUL_HOME", str(tmp_path))
        yield tmp_path


@pytest.fixture
def containers(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Those of the stack."""
    found: list[dict[str, Any]] = []
    monkeypatch.setattr(jobs.DockerCli, "containers", lambda _: found)
    return found


def test_the_quickstart_that_runs_is_taken(
    home: Path, containers: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    containers.append({"State": "exited"})
    assert jobs._means_embedded(["backup.zip"])
    assert f"taking the MLflow of the quickstart, which runs at {embedded_mlflow(home)}" in capsys.readouterr().err


def test_a_stack_that_runs_comes_first_and_the_other_is_named(
    home: Path, containers: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    containers.append({"State": "running"})
    assert not jobs._means_embedded(["backup.zip"])
    assert "add --embedded" in capsys.readouterr().err
    assert jobs._means_embedded(["--embedded", "backup.zip"])


@pytest.mark.parametrize("note", [None, "no JSON", '{"mlflow_uri": "http://127.0.0.1:9"}', "[]"])
def test_where_no_quickstart_runs_it_is_the_stack(
    note: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if note is not None:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "servers.json").write_text(note)
    monkeypatch.setenv("HANDFUL_HOME", str(tmp_path))
    assert not jobs._means_embedded(["backup.zip"])


def test_it_is_the_note_that_core_writes(home: Path) -> None:
    from handful_core.running import find_servers

    found = find_servers(home)
    assert found is not None
    assert embedded_mlflow(home) == found.mlflow_uri
