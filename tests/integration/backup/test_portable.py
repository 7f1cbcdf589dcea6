"""The portable way: into another server over REST."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from fakes.line import Line
from handful_core.registry import Registry
from support.backed_up_mlflow import Handful, Mlflow
from support.contents import files_in, rows_of
from support.mlflow_server import MlflowServer

_API = "/api/2.0/mlflow"


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mlflow]:
    """A server of this file alone: the first test holds that it has what the backup has, and nothing else."""
    mlflow = Mlflow.embedded(tmp_path_factory.mktemp("portable"))
    mlflow.server.start()
    yield mlflow
    mlflow.server.kill()


def _ask(server: MlflowServer, path: str, **query: str) -> dict[str, Any]:
    answer = httpx.get(f"{server.uri}{_API}/{path}", params=query, timeout=60)
    return dict(answer.raise_for_status().json())


def _start_import(backup: Path, server: MlflowServer, home: Path) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "handful_core", "import", str(backup), "--way", "portable"]
    environment = os.environ | {"HANDFUL_MLFLOW_URI": server.uri, "HANDFUL_HOME": str(home)}
    return subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _tags(mlflow: Mlflow) -> int:
    """How far an import is; asked often, so in the cheapest way."""
    with closing(sqlite3.connect(mlflow.server.root / "mlflow.db", timeout=60)) as database:
        return int(database.execute("SELECT count(*) FROM tags").fetchone()[0])


def _count(mlflow: Mlflow) -> dict[str, int]:
    return {table: len(rows) for table, rows in rows_of(mlflow.database).items()}


def test_left_by_the_server_and_killed_again_and_again_it_ends_whole_and_without_doubles(
    embedded: Mlflow,
    portable_zip: Path,
    other: Mlflow,
    handful: Handful,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for sent in (15_000, 60_000, 900_000):  # Among shells, among points, and in the middle of an artifact.
        with Line(other.server.port, sent) as line:
            away = replace(other.server, port=line.port)
            assert handful("import", portable_zip, "--way", "portable", server=away) == 5
            assert line.broken
        said = capsys.readouterr().err
        assert said.count("error: MLflow at") == 1
        assert "does not answer" in " ".join(said.split())
        assert not rows_of(other.database)["registered_model_aliases"]
    kills = 0
    for runs in range(1, 5):  # Killed when it has got a little further each time.
        process = _start_import(portable_zip, other.server, tmp_path)
        while process.poll() is None and _tags(other) < 8 * runs:
            time.sleep(0.02)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
        aliases = rows_of(other.database)["registered_model_aliases"]
        versions = rows_of(other.database)["model_versions"]
        assert not aliases or len(versions) >= 16  # One of them fills the gap.
    assert kills
    assert handful("import", portable_zip, server=other.server) == 0
    capsys.readouterr()
    assert handful("verify", portable_zip, "--server", server=other.server) == 0
    assert "the server holds all of it (portable)" in capsys.readouterr().err
    there, here = _count(embedded), _count(other)
    for table in ("experiments", "runs", "params", "metrics", "latest_metrics", "inputs", "logged_models"):
        assert here[table] == there[table], table
    before = rows_of(other.database)
    assert handful("import", portable_zip, server=other.server) == 0
    assert capsys.readouterr().err.splitlines()[-1].endswith("all of it is there already, nothing to do")
    assert rows_of(other.database) == before


def test_numbers_aliases_stages_and_times_are_kept(
    embedded: Mlflow, portable_zip: Path, other: Mlflow, handful: Handful
) -> None:
    assert handful("import", portable_zip, server=other.server) == 0
    with Registry(other.server.uri) as registry:
        assert [version.version for version in registry.versions("fingers")] == [3, 1]
        assert registry.version("fingers", "champion").version == 3
        assert registry.version("fingers", "previous").version == 1
        assert registry.version("old", "champion").version == 10
        assert [version.version for version in registry.versions("old")] == list(range(11, 0, -1))
        assert registry.version("fingers", 3).tags["gate"] == "passed"
    stages = {v["version"]: v["current_stage"] for v in _versions(other, "old")}
    assert (stages["10"], stages["11"], stages["1"]) == ("Production", "Staging", "None")
    assert embedded.filled is not None
    run = _run_of(other, embedded.filled.child)
    assert run["info"]["start_time"] == 1_700_000_100_000
    assert run["info"]["end_time"] == 1_700_000_900_000
    tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
    assert tags["mlflow.parentRunId"] == _run_of(other, embedded.filled.parent)["info"]["run_id"]
    odd = _ask(other.server, "metrics/get-history", run_id=run["info"]["run_id"], metric_key="odd")["metrics"]
    values = sorted(str(metric["value"]) for metric in odd)
    assert values == sorted(
        ["NaN", "1.7976931348623157e+308", "-1.7976931348623157e+308", "0.30000000000000004", "5.0"]
    )


def test_an_exact_backup_goes_over_rest_and_says_what_stays_behind(
    exact_zip: Path, other: Mlflow, handful: Handful, capsys: pytest.CaptureFixture[str]
) -> None:
    assert handful("import", exact_zip, "--rename-prefix", "copy-", server=other.server) == 0
    said = capsys.readouterr().err
    assert "not carried this way: trace_info (1 rows)" in said
    assert "not kept this way: ids of experiments, runs and logged models" in said
    with Registry(other.server.uri) as registry:
        assert registry.version("copy-fingers", "champion").version == 3
        assert registry.version("copy-fingers", "champion").run_id != registry.version("fingers", "champion").run_id
    before = rows_of(other.database)
    assert handful("import", exact_zip, "--rename-prefix", "copy-", server=other.server) == 0
    assert rows_of(other.database) == before


def test_a_dry_run_writes_nothing(
    portable_zip: Path, other: Mlflow, handful: Handful, capsys: pytest.CaptureFixture[str]
) -> None:
    before, files = rows_of(other.database), files_in(Path(other.artifacts))
    assert handful("import", portable_zip, "--dry-run", "--rename-prefix", "dry-", server=other.server) == 0
    assert "What an import would do" in capsys.readouterr().out
    assert rows_of(other.database) == before
    assert files_in(Path(other.artifacts)) == files


def test_overwrite_brings_back_what_was_changed(
    embedded: Mlflow, portable_zip: Path, other: Mlflow, handful: Handful
) -> None:
    with Registry(other.server.uri) as registry:
        registry.set_alias("fingers", "champion", 1)
        assert handful("import", portable_zip, server=other.server) == 0
        assert registry.version("fingers", "champion").version == 1
        assert handful("import", portable_zip, "--overwrite", server=other.server) == 0
        assert registry.version("fingers", "champion").version == 3
    assert handful("verify", portable_zip, "--server", server=other.server) == 0


@pytest.mark.parametrize("damage", ["truncated", "changed"])
def test_a_damaged_backup_changes_nothing(
    portable_zip: Path, other: Mlflow, handful: Handful, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    content = bytearray(portable_zip.read_bytes())
    if damage == "changed":
        content[len(content) // 2] ^= 0xFF
    else:
        del content[-1000:]
    path = tmp_path / "damaged.zip"
    path.write_bytes(content)
    before = rows_of(other.database)
    assert handful("import", path, "--rename-prefix", "bad-", server=other.server) == 4
    assert "nothing was changed" in capsys.readouterr().err
    assert rows_of(other.database) == before


def _versions(mlflow: Mlflow, name: str) -> list[dict[str, Any]]:
    return list(_ask(mlflow.server, "model-versions/search", filter=f"name='{name}'")["model_versions"])


def _run_of(mlflow: Mlflow, source: str) -> dict[str, Any]:
    body = {
        "experiment_ids": [str(number) for number in range(10)],
        "filter": f"tags.`handful.source_run` = '{source}'",
        "run_view_type": "ALL",
    }
    answer = httpx.post(f"{mlflow.server.uri}{_API}/runs/search", json=body, timeout=60).raise_for_status()
    (run,) = answer.json()["runs"]
    return dict(run)
