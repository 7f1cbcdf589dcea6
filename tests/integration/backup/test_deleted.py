"""An experiment of the backup is deleted here: what comes into it can be seen, and what cannot is counted."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.backed_up_mlflow import Handful, Mlflow

_API = "/api/2.0/mlflow"


def test_what_comes_into_a_deleted_experiment_is_active_over_rest(
    live: Mlflow, other: Mlflow, handful: Handful, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = _experiment(live, "found again", 3)
    _ask(live, "runs/delete", run_id=runs[2])
    backup = tmp_path / "b.zip"
    assert handful("export", "--experiment", "found again", "--out", backup, server=live.server) == 0
    _experiment(other, "found again", 1)
    number = _number(other, "found again")
    _ask(other, "experiments/delete", experiment_id=number)
    capsys.readouterr()
    assert handful("import", backup, server=other.server) == 0
    assert "experiment found again is deleted here: restored for what comes into it" in _said(capsys)
    assert _runs(other, number) == {"ACTIVE_ONLY": 3, "DELETED_ONLY": 1}  # With the one that was here.
    assert handful("import", backup, server=other.server) == 0
    assert "all of it is there already, nothing to do" in _said(capsys)
    _ask(other, "experiments/delete", experiment_id=number)
    assert handful("import", backup, server=other.server) == 0
    said = _said(capsys)
    assert "experiment found again is deleted here: --overwrite restores it" in said
    assert "2 runs of the backup are deleted here: --overwrite restores them" in said
    assert "all of it is there already" not in said
    assert handful("import", "--overwrite", backup, server=other.server) == 0
    assert _runs(other, number) == {"ACTIVE_ONLY": 3, "DELETED_ONLY": 1}


def test_what_comes_into_a_deleted_experiment_is_active_by_the_database(
    blank: Mlflow, tables: Path, handful: Handful, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(blank, "active", "theirs")
    backup = tmp_path / "b.zip"
    assert handful("export", "--out", backup, *blank.exact) == 0
    (tmp_path / "here" / "artifacts").mkdir(parents=True)
    shutil.copy(tables, tmp_path / "here" / "mlflow.db")
    here = Mlflow.embedded(tmp_path / "here")
    _write(here, "deleted", "mine")
    capsys.readouterr()
    assert handful("import", backup, *here.exact) == 0
    assert "experiment found again is deleted here: restored for what comes into it" in _said(capsys)
    assert _stages(here) == {"found again": "active", "theirs": "active", "mine": "deleted"}
    assert handful("import", backup, *here.exact) == 0
    assert "all of it is there already, nothing to do" in _said(capsys)
    with closing(sqlite3.connect(here.server.root / "mlflow.db")) as database:
        for table in ("experiments", "runs"):
            database.execute(f"UPDATE {table} SET lifecycle_stage = 'deleted'")  # noqa: S608
        database.commit()
    assert handful("import", backup, *here.exact) == 0
    said = _said(capsys)
    assert "experiment found again is deleted here: --overwrite restores it" in said
    assert "1 runs of the backup are deleted here: --overwrite restores them" in said
    assert handful("import", "--overwrite", backup, *here.exact) == 0
    assert _stages(here) == {"found again": "active", "theirs": "active", "mine": "deleted"}


def _write(mlflow: Mlflow, stage: str, run: str) -> None:
    with closing(sqlite3.connect(mlflow.server.root / "mlflow.db")) as database:
        experiment = "INSERT INTO experiments (experiment_id, name, lifecycle_stage, artifact_location, workspace) "
        database.execute(f"{experiment} VALUES (3, 'found again', ?, 'mlflow-artifacts:/3', 'default')", (stage,))
        fields = "run_uuid, name, status, start_time, lifecycle_stage, artifact_uri, experiment_id"
        values = (run, run, "FINISHED", 5, stage, f"mlflow-artifacts:/3/{run}/artifacts", 3)
        database.execute(f"INSERT INTO runs ({fields}) VALUES (?, ?, ?, ?, ?, ?, ?)", values)  # noqa: S608
        database.commit()


def _stages(mlflow: Mlflow) -> dict[str, str]:
    with closing(sqlite3.connect(mlflow.server.root / "mlflow.db")) as database:
        query = "SELECT name, lifecycle_stage FROM experiments UNION SELECT run_uuid, lifecycle_stage FROM runs"
        return dict(database.execute(query).fetchall())


def _experiment(mlflow: Mlflow, name: str, runs: int) -> list[str]:
    number = _ask(mlflow, "experiments/create", name=name)["experiment_id"]
    return [_ask(mlflow, "runs/create", experiment_id=number)["run"]["info"]["run_id"] for _ in range(runs)]


def _number(mlflow: Mlflow, name: str) -> str:
    found = _ask(mlflow, "experiments/search", view_type="ALL", max_results=100)["experiments"]
    return str(next(experiment["experiment_id"] for experiment in found if experiment["name"] == name))


def _runs(mlflow: Mlflow, number: str) -> dict[str, int]:
    body = {"experiment_ids": [number], "max_results": 100}
    views = ("ACTIVE_ONLY", "DELETED_ONLY")
    return {view: len(_ask(mlflow, "runs/search", **body, run_view_type=view).get("runs", [])) for view in views}


def _said(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().err.split())


def _ask(mlflow: Mlflow, path: str, **body: object) -> dict[str, Any]:
    answer = httpx.post(f"{mlflow.server.uri}{_API}/{path}", json=body, timeout=60)
    return dict(answer.raise_for_status().json())
