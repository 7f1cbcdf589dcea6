"""Where backups go, what they add to, and servers that are written to meanwhile."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from handful_backup.archive import BackupReader
from handful_backup.artifacts import Content
from handful_backup.artifacts.stores import LocalStore
from support.backed_up_mlflow import BUCKET, Handful, Mlflow
from support.contents import files_in, rows_of

_SECRET = "correct horse battery staple"
_API = "/api/2.0/mlflow"


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mlflow]:
    """A server that these tests write to."""
    mlflow = Mlflow.embedded(tmp_path_factory.mktemp("busy"))
    mlflow.server.start()
    shutil.copy(mlflow.server.root / "mlflow.db", mlflow.server.root / "empty.db")
    yield mlflow
    mlflow.server.kill()


def _post(mlflow: Mlflow, path: str, **body: object) -> dict[str, object]:
    answer = httpx.post(f"{mlflow.server.uri}{_API}/{path}", json=body, timeout=60)
    return dict(answer.raise_for_status().json())


def _run(mlflow: Mlflow, experiment: str = "0", **more: object) -> str:
    info = _post(mlflow, "runs/create", experiment_id=experiment, **more)["run"]
    return str(info["info"]["run_id"])  # type: ignore[index]


def test_locked_and_unlocked(
    embedded: Mlflow,
    handful: Handful,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HANDFUL_BACKUP_PASSPHRASE", "too short")
    assert handful("export", "--out", tmp_path / "b.zip", *embedded.exact) == 2
    monkeypatch.setenv("HANDFUL_BACKUP_PASSPHRASE", _SECRET)
    assert handful("export", "--out", tmp_path / "b.zip", *embedded.exact) == 0
    assert handful("verify", tmp_path / "b.zip", "--server", *embedded.exact) == 0
    monkeypatch.delenv("HANDFUL_BACKUP_PASSPHRASE")
    assert handful("verify", tmp_path / "b.zip") == 2
    assert "is locked" in capsys.readouterr().err


def test_to_standard_output_and_from_standard_input(embedded: Mlflow, tmp_path: Path) -> None:
    environment = os.environ | {"HANDFUL_HOME": str(tmp_path), "HANDFUL_MLFLOW_URI": "http://127.0.0.1:9"}
    words = [sys.executable, "-m", "handful_core"]
    export = [*words, "export", "--out", "-", *embedded.exact]
    made = subprocess.run(export, env=environment, capture_output=True, check=True).stdout
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert archive.testzip() is None
    subprocess.run([*words, "verify", "-"], env=environment, input=made, capture_output=True, check=True)


def test_to_an_object_store_and_back_and_rotated(
    embedded: Mlflow, stack: Mlflow, handful: Handful, capsys: pytest.CaptureFixture[str]
) -> None:
    place = f"s3://{BUCKET}/backups/"
    for _ in range(3):
        assert handful("export", "--out", place, "--keep", "2", "--model", "alone", "--json", *embedded.exact) == 0
        made = json.loads(capsys.readouterr().out)
        _next_second()
    assert len(made["removed"]) == 1
    assert handful("verify", made["file"]) == 0
    assert handful("verify", f"{place}{made['removed'][0]}") == 7


def test_an_increment_has_what_changed_and_nothing_else(busy: Mlflow, handful: Handful, tmp_path: Path) -> None:
    quiet, live, fed = _run(busy), _run(busy), _run(busy)
    for run in (quiet, live):
        _put(busy, run, "a.txt", b"first")
        _post(busy, "runs/log-metric", run_id=run, key="loss", value=1.0, timestamp=1, step=0)
    base, more = tmp_path / "base.zip", tmp_path / "more.zip"
    assert handful("export", "--out", base, *busy.exact) == 0
    _post(busy, "runs/log-metric", run_id=live, key="loss", value=0.5, timestamp=2, step=1)
    _put(busy, live, "b.txt", b"second")
    dataset = {"name": "hands", "digest": "0123abcd", "source_type": "local", "source": "file:///data"}
    _post(busy, "runs/log-inputs", run_id=fed, datasets=[{"dataset": dataset}])
    late = _run(busy)
    assert handful("export", "--out", more, "--since", base, *busy.exact) == 0
    with BackupReader(more) as reader:
        runs = {row["run_uuid"] for row in reader.rows("runs")}
        assert live in runs
        assert fed in runs
        assert late in runs
        assert quiet not in runs
        assert [name for name in reader.artifacts if name.startswith("artifacts/runs/")] == [
            f"artifacts/runs/{live}/b.txt"
        ]
        assert f"artifacts/runs/{live}/a.txt" in reader.manifest.inherited
    other = _blank(busy, tmp_path)
    assert handful("import", more, *other.exact) == 7
    assert handful("import", base, *other.exact) == 0
    assert handful("import", more, "--overwrite", *other.exact) == 0
    assert rows_of(other.database) == rows_of(busy.database)
    assert handful("verify", more, "--server", *other.exact) == 0


@pytest.mark.parametrize("way", ["exact", "portable"])
def test_a_picture_taken_while_others_write_is_whole(busy: Mlflow, handful: Handful, tmp_path: Path, way: str) -> None:
    experiment = str(_post(busy, "experiments/create", name=f"under way {way}")["experiment_id"])
    stop, errors = threading.Event(), []

    def train() -> None:
        step = 0
        while not stop.is_set():
            run = _run(busy, experiment)
            for _ in range(5):
                step += 1
                try:
                    _post(busy, "runs/log-metric", run_id=run, key="loss", value=1 / step, timestamp=step, step=step)
                except httpx.HTTPError as error:
                    errors.append(error)
            _put(busy, run, "weights.bin", bytes(100_000))

    thread = threading.Thread(target=train)
    thread.start()
    try:
        options = busy.exact if way == "exact" else []
        assert handful("export", "--out", tmp_path / "b.zip", *options, server=busy.server) == 0
    finally:
        stop.set()
        thread.join()
    assert not errors
    with BackupReader(tmp_path / "b.zip") as reader:
        reader.check()
        runs = {row["run_uuid"] for row in reader.rows("runs")}
        points = {(row["run_uuid"], row["key"], row["step"]) for row in reader.rows("metrics")}
        assert {run for run, _, _ in points} <= runs
        assert {(r["run_uuid"], r["key"], r["step"]) for r in reader.rows("latest_metrics")} <= points
        assert {name.split("/")[2] for name in reader.artifacts if name.startswith("artifacts/runs/")} <= runs


def test_a_full_disk_leaves_no_row_and_a_second_import_goes_on(
    busy: Mlflow,
    exact_zip: Path,
    embedded: Mlflow,
    handful: Handful,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = _blank(busy, tmp_path)
    before = rows_of(other.database)
    write, written = LocalStore.write, []

    def full(store: LocalStore, folder: str, path: str, content: Content, size: int) -> None:
        if len(written) == 3:
            raise OSError(errno.ENOSPC, "No space left on device", path)
        written.append(path)
        write(store, folder, path, content, size)

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "write", full)
        assert handful("import", exact_zip, "--jobs", "1", *other.exact) == 6
    assert "No space left on device" in capsys.readouterr().err
    assert rows_of(other.database) == before
    assert len(files_in(Path(other.artifacts))) == 3
    assert handful("import", exact_zip, *other.exact) == 0
    assert handful("verify", exact_zip, "--server", *other.exact) == 0
    assert files_in(Path(other.artifacts)) == files_in(Path(embedded.artifacts))


def test_numbers_that_are_taken_are_not_given_twice(
    busy: Mlflow, exact_zip: Path, handful: Handful, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = _blank(busy, tmp_path)
    database = sqlite3.connect(tmp_path / "other" / "mlflow.db")
    database.executescript("""
        INSERT INTO experiments (experiment_id, name, lifecycle_stage, artifact_location, creation_time)
            VALUES (1, 'mine', 'active', 'mlflow-artifacts:/1', 7);
        INSERT INTO registered_models (name, creation_time) VALUES ('fingers', 7);
        INSERT INTO model_versions (name, version, creation_time, current_stage, source)
            VALUES ('fingers', 3, 7, 'None', 's3://mine');
        INSERT INTO registered_model_aliases (name, alias, version) VALUES ('fingers', 'champion', 3);
    """)
    database.close()
    assert handful("import", exact_zip, *other.exact) == 0
    said = capsys.readouterr().err
    assert "experiment fingers: number 2 here, 1 in the backup" in said
    assert "model fingers: version 3 becomes 4: its number is taken" in said
    assert "model fingers: its alias champion stays where it is" in said
    after = rows_of(other.database)
    assert len(after["runs"]) == 5
    assert len(after["experiments"]) == 4
    assert ("champion", "fingers", 3, "default") in after["registered_model_aliases"]
    assert handful("import", exact_zip, *other.exact) == 0
    assert rows_of(other.database) == after


def test_no_file_is_left_where_the_server_is_away(handful: Handful, tmp_path: Path) -> None:
    assert handful("export", "--out", tmp_path / "b.zip") == 5
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == []


def _put(mlflow: Mlflow, run: str, name: str, content: bytes) -> None:
    uri = httpx.get(f"{mlflow.server.uri}{_API}/runs/get", params={"run_id": run}, timeout=60).json()
    place = uri["run"]["info"]["artifact_uri"].removeprefix("mlflow-artifacts:")
    address = f"{mlflow.server.uri}/api/2.0/mlflow-artifacts/artifacts{place}/{name}"
    httpx.put(address, content=content, timeout=60).raise_for_status()


def _blank(mlflow: Mlflow, folder: Path) -> Mlflow:
    """A server's files with MLflow's tables and nothing in them."""
    (folder / "other").mkdir()
    shutil.copy(mlflow.server.root / "empty.db", folder / "other" / "mlflow.db")
    return Mlflow.embedded(folder / "other")


def _next_second() -> None:
    """Names of backups tell seconds."""
    import time

    time.sleep(1.01)
