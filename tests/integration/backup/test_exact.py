"""The exact way: every row and every file, on SQLite and Postgres, in a folder and in an object store."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from handful_core.registry import Registry
from support.backed_up_mlflow import BUCKET, Handful, Mlflow
from support.contents import files_in, objects_in, rows_of
from support.object_store import S3Store
from support.postgres import Postgres


def test_from_embedded_into_the_stack_without_loss(
    embedded: Mlflow,
    exact_zip: Path,
    stack: Mlflow,
    objects: S3Store,
    handful: Handful,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert handful("import", exact_zip, *stack.exact) == 0
    before, after = rows_of(embedded.database), rows_of(stack.database)
    assert before["metrics"]
    assert before["trace_tags"]
    crowned = ("champion", "old", 10, "default")
    after["registered_model_aliases"].remove(crowned)  # From the stage Production; compared below.
    assert after == before
    assert objects_in(objects, BUCKET) == files_in(Path(embedded.artifacts))
    capsys.readouterr()
    assert handful("verify", exact_zip, "--server", *stack.exact) == 0
    assert "the server holds all of it (exact)" in capsys.readouterr().err
    stack.server.start()
    with Registry(stack.server.uri) as registry:
        assert registry.version("old", "champion").version == 10
        assert registry.version("fingers", "champion").version == 3
    # Ids go on where they ended.
    import httpx

    made = httpx.post(f"{stack.server.uri}/api/2.0/mlflow/experiments/create", json={"name": "next"}, timeout=60)
    assert int(made.json()["experiment_id"]) == max(row[2] for row in before["experiments"]) + 1


def test_wiped_and_restored_the_stack_is_what_it_was(
    exact_zip: Path,
    stack: Mlflow,
    objects: S3Store,
    postgres: Postgres,
    handful: Handful,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert handful("import", exact_zip, *stack.exact) == 0
    rows, files = rows_of(stack.database), objects_in(objects, BUCKET)
    backup = tmp_path / "stack.zip"
    assert handful("export", "--out", backup, *stack.exact) == 0
    objects.empty(BUCKET)
    postgres.make("mlflow", "empty")
    assert handful("verify", backup, "--server", *stack.exact) == 8
    assert handful("import", backup, *stack.exact) == 0
    assert rows_of(stack.database) == rows
    assert objects_in(objects, BUCKET) == files
    capsys.readouterr()
    assert handful("import", backup, *stack.exact) == 0
    assert "all of it is there already, nothing to do" in capsys.readouterr().err
    assert rows_of(stack.database) == rows


@pytest.mark.parametrize("taken", [False, True])
def test_versions_made_in_the_same_millisecond_are_all_brought(
    blank: Mlflow, tables: Path, handful: Handful, tmp_path: Path, taken: bool
) -> None:
    _versions(blank, {1: 7, 2: 7})
    backup = tmp_path / "b.zip"
    assert handful("export", "--out", backup, *blank.exact) == 0
    (tmp_path / "other" / "artifacts").mkdir(parents=True)
    shutil.copy(tables, tmp_path / "other" / "mlflow.db")
    other = Mlflow.embedded(tmp_path / "other")
    _versions(other, {1: 5} if taken else {})
    for _ in range(2):
        assert handful("import", backup, *other.exact) == 0
        assert _versions(other, {}) == ({1: 5, 2: 7, 3: 7} if taken else {1: 7, 2: 7})


def _versions(mlflow: Mlflow, more: dict[int, int]) -> dict[int, int]:
    """Times of creation of a model's versions, by number, after more were added."""
    add = "INSERT INTO model_versions (name, version, creation_time, current_stage) VALUES ('hands', ?, ?, 'None')"
    with closing(sqlite3.connect(mlflow.server.root / "mlflow.db")) as database:
        if more:
            database.execute("INSERT INTO registered_models (name) VALUES ('hands')")
        database.executemany(add, more.items())
        database.commit()
        return dict(database.execute("SELECT version, creation_time FROM model_versions").fetchall())
