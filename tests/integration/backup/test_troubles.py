"""Imports that are ended: killed, left by the database or the object store, without room."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from fakes.line import Line
from handful_backup.portable import staging
from support.backed_up_mlflow import BUCKET, Handful, Mlflow
from support.contents import files_in, objects_in, rows_of
from support.object_store import S3Store

_KILLED = """
    import os, signal
    from handful_backup.artifacts.stores import LocalStore
    from handful_backup.exact import importer
    from handful_core.cli.main import main

    point, calls = {point!r}, []

    def here(name, after):
        calls.append(name)
        if point == name and calls.count(name) == after:
            os.kill(os.getpid(), signal.SIGKILL)

    class Content:
        def __init__(self, content):
            self._content = content

        def read(self, size=-1):
            data = self._content.read(size)
            here("artifact", 8)  # Some are there, and one was begun.
            return data

    write, insert, sequences = LocalStore.write, importer.insert, importer.set_sequences

    def written(store, folder, path, content, size):
        write(store, folder, path, Content(content), size)

    def inserted(*words, **more):
        insert(*words, **more)
        here("rows", 12)

    def counted(*words):
        sequences(*words)
        here("all rows", 1)  # Only the commit is missing.

    LocalStore.write, importer.insert, importer.set_sequences = written, inserted, counted
    main({words!r})
"""


@pytest.mark.parametrize("point", ["artifact", "rows", "all rows"])
def test_an_exact_import_that_was_killed_shows_nothing_and_ends_whole_the_second_time(
    embedded: Mlflow, exact_zip: Path, blank: Mlflow, handful: Handful, tmp_path: Path, point: str
) -> None:
    before = rows_of(blank.database)
    words = ["import", str(exact_zip), "--jobs", "1", *blank.exact]
    program = textwrap.dedent(_KILLED).format(point=point, words=words)
    environment = os.environ | {"HANDFUL_HOME": str(tmp_path), "HANDFUL_MLFLOW_URI": "http://127.0.0.1:9"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert rows_of(blank.database) == before
    there, wanted = files_in(Path(blank.artifacts)), files_in(Path(embedded.artifacts))
    assert there
    if point == "artifact":
        assert [name for name in there if name.endswith(".partial")]
    assert {name: digest for name, digest in there.items() if not name.endswith(".partial")}.items() <= wanted.items()
    assert handful("import", exact_zip, *blank.exact) == 0
    assert handful("verify", exact_zip, "--server", *blank.exact) == 0
    assert files_in(Path(blank.artifacts)) == wanted
    after = rows_of(blank.database)
    after["registered_model_aliases"].remove(("champion", "old", 10, "default"))  # From the stage Production.
    assert after == rows_of(embedded.database)


@pytest.mark.parametrize("gone", ["database", "object store"])
def test_what_an_exact_import_needs_goes_away_and_comes_back(
    embedded: Mlflow,
    exact_zip: Path,
    stack: Mlflow,
    objects: S3Store,
    handful: Handful,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    gone: str,
) -> None:
    before = rows_of(stack.database)
    if gone == "database":
        port = urlsplit(stack.database).port
        assert port
        with Line(port, 150_000) as line:  # Among the rows.
            database = stack.database.replace(f":{port}/", f":{line.port}/")
            words = ["--database", database, "--artifacts", stack.artifacts]
            assert handful("import", exact_zip, *words) == 5
    else:
        with Line(objects.port, 1_000_000) as line, monkeypatch.context() as patch:  # Within the largest file.
            patch.setenv("HANDFUL_BACKUP_S3_ENDPOINT_URL", f"http://127.0.0.1:{line.port}")
            assert handful("import", exact_zip, *stack.exact) == 5
    assert line.broken
    said = [text for text in " ".join(capsys.readouterr().err.split()).split("error: ") if text]
    assert f"the {gone}" in said[-1]
    assert "does not do its part" in said[-1]
    assert rows_of(stack.database) == before
    assert handful("import", exact_zip, *stack.exact) == 0
    assert handful("verify", exact_zip, "--server", *stack.exact) == 0
    assert objects_in(objects, BUCKET) == files_in(Path(embedded.artifacts))
    assert {table: len(rows) for table, rows in rows_of(stack.database).items()} == {
        table: len(rows) + (table == "registered_model_aliases") for table, rows in rows_of(embedded.database).items()
    }


def test_a_portable_import_without_room_for_its_rows_changes_nothing(
    portable_zip: Path,
    other: Mlflow,
    handful: Handful,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = rows_of(other.database)
    connect = staging.sqlite3.connect

    def small(*words: object, **more: object) -> object:
        connection = connect(*words, **more)  # type: ignore[call-overload]
        connection.execute("PRAGMA max_page_count=8")  # SQLite's own word for a disk of 32 kB.
        return connection

    monkeypatch.setattr(staging.sqlite3, "connect", small)
    assert handful("import", portable_zip, "--rename-prefix", "full-", "--way", "portable", server=other.server) == 6
    assert "there is no room for the backup's rows" in " ".join(capsys.readouterr().err.split())
    monkeypatch.undo()
    assert rows_of(other.database) == before


def test_an_exact_import_without_room_for_its_rows_leaves_none(
    exact_zip: Path,
    blank: Mlflow,
    handful: Handful,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import sqlalchemy as sa

    before = rows_of(blank.database)
    make = sa.create_engine

    def small(*words: object, **more: object) -> sa.Engine:
        engine: sa.Engine = make(*words, **more)  # type: ignore[call-overload]

        @sa.event.listens_for(engine, "connect")
        def _limit(connection: object, _: object) -> None:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]  # type: ignore[attr-defined]
            connection.execute(f"PRAGMA max_page_count={pages + 2}")  # type: ignore[attr-defined]

        return engine

    with monkeypatch.context() as patch:
        patch.setattr(sa, "create_engine", small)
        assert handful("import", exact_zip, *blank.exact) == 6
    assert "there is no room for the database" in " ".join(capsys.readouterr().err.split())
    assert rows_of(blank.database) == before
    assert handful("import", exact_zip, *blank.exact) == 0
    assert handful("verify", exact_zip, "--server", *blank.exact) == 0
