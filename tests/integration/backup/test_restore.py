"""A backup comes into a server that has only the starter: it takes the starter's place, and nothing of anybody's."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from support.backed_up_mlflow import Handful, Mlflow
from support.contents import files_in, rows_of

_GIVES_WAY = "the starter model, which nobody has used or changed, gives way to the backup"
_CROWNED = ("champion", "old", 10, "default")
"""From the stage Production: an import makes a champion of it."""


@pytest.fixture(scope="module")
def with_starter(tables: Path, starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of an embedded server that has the starter, and nothing else."""
    root = tmp_path_factory.mktemp("starter") / "mlflow"
    (root / "artifacts").mkdir(parents=True)
    shutil.copy(tables, root / "mlflow.db")
    words = ["import", "--as-starter", str(starter), *Mlflow.embedded(root).exact]
    subprocess.run([sys.executable, "-m", "handful_core", *words], check=True)
    return root


@pytest.fixture
def begun(with_starter: Path, tmp_path: Path) -> Mlflow:
    """A copy of them."""
    return Mlflow.embedded(shutil.copytree(with_starter, tmp_path / "begun"))


def test_it_takes_the_place_of_the_starter_embedded(
    embedded: Mlflow, exact_zip: Path, begun: Mlflow, handful: Handful, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert handful("import", exact_zip, *begun.exact) == 0
    assert _GIVES_WAY in " ".join(capsys.readouterr().err.split())
    _assert_is(begun, embedded)
    assert files_in(Path(begun.artifacts)) == files_in(Path(embedded.artifacts))
    before = rows_of(begun.database)
    assert handful("import", exact_zip, *begun.exact) == 0
    assert "all of it is there already, nothing to do" in capsys.readouterr().err
    assert rows_of(begun.database) == before
    assert handful("verify", exact_zip, "--server", *begun.exact) == 0


_GIVE_WAY = "the starter models, which nobody has used or changed, give way to the backup"


def test_it_takes_the_place_of_two_starters(
    embedded: Mlflow,
    exact_zip: Path,
    begun: Mlflow,
    leaves: Path,
    handful: Handful,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert handful("import", "--as-starter", leaves, *begun.exact) == 0
    assert {row[1] for row in rows_of(begun.database)["registered_model_aliases"]} == {"fingers", "leaves"}
    capsys.readouterr()
    assert handful("import", exact_zip, *begun.exact) == 0
    assert _GIVE_WAY in " ".join(capsys.readouterr().err.split())
    _assert_is(begun, embedded)
    assert files_in(Path(begun.artifacts)) == files_in(Path(embedded.artifacts))


def test_a_second_starter_keeps_what_came_before_it(
    begun: Mlflow, leaves: Path, exact_zip: Path, handful: Handful, capsys: pytest.CaptureFixture[str]
) -> None:
    _touch(begun, _TOUCHES["a description"])
    assert handful("import", "--as-starter", leaves, *begun.exact) == 0
    _assert_nothing_is_lost(begun, exact_zip, handful, capsys)


@pytest.mark.parametrize("again", ["fingers", "leaves"])
def test_a_starter_that_comes_again_forgets_no_change(
    again: str,
    begun: Mlflow,
    starter: Path,
    leaves: Path,
    exact_zip: Path,
    handful: Handful,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert handful("import", "--as-starter", leaves, *begun.exact) == 0
    _touch(begun, _TOUCHES["a description"])  # Of both.
    assert handful("import", "--as-starter", {"fingers": starter, "leaves": leaves}[again], *begun.exact) == 0
    _assert_nothing_is_lost(begun, exact_zip, handful, capsys)


def _assert_is(here: Mlflow, there: Mlflow) -> None:
    after = rows_of(here.database)
    after["registered_model_aliases"].remove(_CROWNED)
    assert after == rows_of(there.database)


_NEW_RUN = (
    "INSERT INTO runs (run_uuid, name, status, start_time, lifecycle_stage, experiment_id) "
    "VALUES ('mine', 'mine', 'FINISHED', 5, 'active', (SELECT max(experiment_id) FROM experiments))"
)
_TOUCHES = {
    "a run": _NEW_RUN,
    "a deleted run": _NEW_RUN.replace("active", "deleted"),
    "an experiment": "INSERT INTO experiments (name, lifecycle_stage, workspace) VALUES ('mine', 'active', 'default')",
    "another name of the first experiment": "INSERT INTO experiments (experiment_id, name, lifecycle_stage, "
    "workspace) VALUES (0, 'mine', 'active', 'default')",
    "a note": "INSERT INTO experiment_tags VALUES ('mlflow.note.content', 'mine', 1)",
    "a tag of the run": "INSERT INTO tags SELECT 'mine', 'x', run_uuid FROM runs",
    "another name of the run": "UPDATE runs SET name = 'mine'",
    "the run is deleted": "UPDATE runs SET lifecycle_stage = 'deleted'",
    "a metric": "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) "
    "SELECT 'mine', 1, 5, run_uuid, 0, 0 FROM runs",
    "a version": "INSERT INTO model_versions (name, version, creation_time, current_stage) "
    "VALUES ('fingers', 2, 5, 'None')",
    "a description": "UPDATE model_versions SET description = 'mine'",
    "a stage": "UPDATE model_versions SET current_stage = 'Staging'",
    "a tag of the version": "INSERT INTO model_version_tags (name, version, key, value) "
    "VALUES ('fingers', 1, 'mine', 'x')",
    "another tag of the version": "UPDATE model_version_tags SET value = 'x' WHERE key = 'dataset'",
    "a tag of the model": "INSERT INTO registered_model_tags (name, key, value) VALUES ('fingers', 'mine', 'x')",
    "an alias": "INSERT INTO registered_model_aliases (name, alias, version) VALUES ('fingers', 'mine', 1)",
    "no alias": "DELETE FROM registered_model_aliases",
    "a model": "INSERT INTO registered_models (name) VALUES ('mine')",
    "a trace": "INSERT INTO trace_info (request_id, experiment_id, timestamp_ms, status) VALUES ('tr-1', 1, 5, 'OK')",
    "a tag of the logged model": "INSERT INTO logged_model_tags SELECT model_id, experiment_id, 'mine', 'x' "
    "FROM logged_models",
    "the logged model is deleted": "UPDATE logged_models SET lifecycle_stage = 'deleted'",
    "a webhook": "INSERT INTO webhooks (webhook_id, name, url, status, creation_timestamp) "
    "VALUES ('w', 'mine', 'http://x', 'ACTIVE', 5)",
    "another mark": "UPDATE registered_model_tags SET value = '{}' WHERE key = 'handful.starter'",
}


@pytest.mark.parametrize("touch", _TOUCHES)
def test_nothing_of_anybodys_is_lost(
    touch: str, begun: Mlflow, exact_zip: Path, handful: Handful, capsys: pytest.CaptureFixture[str]
) -> None:
    _touch(begun, _TOUCHES[touch])
    _assert_nothing_is_lost(begun, exact_zip, handful, capsys)


def _touch(mlflow: Mlflow, statement: str) -> None:
    with closing(sqlite3.connect(mlflow.server.root / "mlflow.db")) as database:
        assert database.execute(statement).rowcount >= 1
        database.commit()


def _assert_nothing_is_lost(
    begun: Mlflow, exact_zip: Path, handful: Handful, capsys: pytest.CaptureFixture[str]
) -> None:
    before, files = rows_of(begun.database), files_in(Path(begun.artifacts))
    capsys.readouterr()
    assert handful("import", exact_zip, *begun.exact) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert _GIVES_WAY not in said
    assert _GIVE_WAY not in said
    after = rows_of(begun.database)
    lost = {table: gone for table, rows in before.items() if (gone := [row for row in rows if row not in after[table]])}
    assert lost == {}
    assert files.items() <= files_in(Path(begun.artifacts)).items()


def test_a_file_that_somebody_logged_keeps_the_starter(
    begun: Mlflow, exact_zip: Path, handful: Handful, capsys: pytest.CaptureFixture[str]
) -> None:
    (model,) = Path(begun.artifacts).glob("*/models/*/artifacts")
    (model / "mine.txt").write_text("mine")
    assert handful("import", exact_zip, *begun.exact) == 0
    assert _GIVES_WAY not in " ".join(capsys.readouterr().err.split())
    assert (model / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("words", [["--model", "old"], ["--experiment", "fingers"], ["--rename-prefix", "copy-"]])
def test_a_part_of_a_backup_does_not_take_its_place(
    words: list[str], begun: Mlflow, exact_zip: Path, handful: Handful
) -> None:
    before = rows_of(begun.database)
    if words[0] == "--rename-prefix":
        assert handful("import", exact_zip, *words, *begun.exact, "--dry-run") == 5  # Copies go over REST.
    else:
        assert handful("import", exact_zip, *words, *begun.exact) == 0
    after = rows_of(begun.database)
    for table in ("runs", "model_versions", "registered_model_aliases", "logged_models"):
        assert set(before[table]) <= set(after[table])


def test_a_part_with_the_champion_does(begun: Mlflow, exact_zip: Path, handful: Handful) -> None:
    assert handful("import", exact_zip, "--model", "fingers", *begun.exact) == 0
    rows = rows_of(begun.database)
    named = {(row[0], row[1], row[2]) for row in rows["registered_model_aliases"]}
    assert named == {("champion", "fingers", 3), ("previous", "fingers", 1)}


def test_the_starter_itself_changes_nothing(
    begun: Mlflow, starter: Path, handful: Handful, capsys: pytest.CaptureFixture[str]
) -> None:
    before = rows_of(begun.database)
    capsys.readouterr()
    assert handful("import", starter, *begun.exact) == 0
    assert "all of it is there already, nothing to do" in capsys.readouterr().err
    assert rows_of(begun.database) == before


def test_a_whole_backup_is_never_taken_for_a_starter(blank: Mlflow, exact_zip: Path, handful: Handful) -> None:
    assert handful("import", "--as-starter", exact_zip, *blank.exact) == 0
    assert not [row for row in rows_of(blank.database)["registered_model_tags"] if "handful.starter" in row]
