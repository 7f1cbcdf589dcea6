"""Databases of MLflow's older versions."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from support.backed_up_mlflow import Handful, Mlflow
from support.contents import rows_of

_BEFORE_WORKSPACES = "c8d9e0f1a2b3"
_UPGRADE = """
import sys
import sqlalchemy
from alembic import command
from mlflow.store.db.utils import _get_alembic_config
from mlflow.store.tracking.dbmodels.initial_models import Base

Base.metadata.create_all(sqlalchemy.create_engine(sys.argv[1]))
command.upgrade(_get_alembic_config(sys.argv[1]), sys.argv[2])
"""
_ROWS = """
    INSERT INTO experiments (experiment_id, name, lifecycle_stage, artifact_location)
        VALUES (0, 'Default', 'active', 'mlflow-artifacts:/0');
    INSERT INTO registered_models (name, creation_time) VALUES ('hands', 7);
    INSERT INTO registered_model_tags (name, key, value) VALUES ('hands', 'team', 'old');
    INSERT INTO model_versions (name, version, creation_time, current_stage, source) VALUES ('hands', 1, 7, 'None', '');
    INSERT INTO model_version_tags (name, version, key, value) VALUES ('hands', 1, 'gate', 'old');
    INSERT INTO registered_model_aliases (name, alias, version) VALUES ('hands', 'champion', 1);
"""
_EDITS = """
    UPDATE registered_model_tags SET value = 'new';
    INSERT INTO registered_model_tags (name, key, value) VALUES ('hands', 'more', 'new');
    INSERT INTO model_version_tags (name, version, key, value) VALUES ('hands', 1, 'more', 'new');
"""


@pytest.fixture
def older(tmp_path: Path) -> Mlflow:
    """The files of a server from before workspaces."""
    mlflow = Mlflow.embedded(tmp_path / "older")
    Path(mlflow.artifacts).mkdir(parents=True)
    words = [sys.executable, "-c", _UPGRADE, mlflow.database, _BEFORE_WORKSPACES]
    subprocess.run(words, capture_output=True, check=True)
    return mlflow


def test_what_is_there_is_replaced_without_workspaces_too(older: Mlflow, handful: Handful, tmp_path: Path) -> None:
    _write(older, _ROWS)
    before = rows_of(older.database)
    backup = tmp_path / "b.zip"
    assert handful("export", "--out", backup, *older.exact) == 0
    _write(older, _EDITS)
    assert rows_of(older.database) != before
    assert handful("import", backup, "--overwrite", *older.exact) == 0
    assert rows_of(older.database) == before


def _write(mlflow: Mlflow, words: str) -> None:
    with closing(sqlite3.connect(mlflow.server.root / "mlflow.db")) as database:
        database.executescript(words)
