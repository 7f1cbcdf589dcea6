"""The starter came over REST, as it does in the stack: a backup takes its place by the database, and over REST."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fakes.packages import encode, picture
from handful_backup.portable.model_writer import VersionWriter
from handful_core.errors import UnavailableError
from handful_core.registry import Registry
from support.backed_up_mlflow import BUCKET, Handful, Mlflow
from support.contents import files_in, objects_in, rows_of
from support.object_store import S3Store
from support.serving_process import ServingProcess

_API = "/api/2.0/mlflow"
_GIVES_WAY = "the starter model, which nobody has used or changed, gives way to the backup"
_SEVEN = encode(picture({(2, 3): "5", (5, 6): "2"}))


@pytest.fixture
def begun(starter: Path, handful: Handful, tmp_path: Path) -> Iterator[Mlflow]:
    """A server that has the starter, and nothing else."""
    mlflow = Mlflow.embedded(tmp_path / "begun")
    mlflow.server.start()
    try:
        assert handful("import", "--as-starter", starter, server=mlflow.server) == 0
        yield mlflow
    finally:
        mlflow.server.kill()


def test_it_takes_the_place_of_the_starter_over_rest(
    used: Mlflow, used_zip: Path, begun: Mlflow, handful: Handful, capsys: pytest.CaptureFixture[str]
) -> None:
    version = {"name": "fingers", "version": "1"}
    told = _ask(begun, "GET", "model-versions/get?name=fingers&version=1")["model_version"].get("description", "")
    _ask(begun, "PATCH", "model-versions/update", **version, description="mine")
    capsys.readouterr()
    assert handful("import", used_zip, "--dry-run", server=begun.server) == 0
    assert _GIVES_WAY not in _said(capsys)
    _ask(begun, "PATCH", "model-versions/update", **version, description=told)
    # What serving notes of its own accord does not count, and stays.
    number = _ask(begun, "POST", "experiments/create", name="monitoring/fingers")["experiment_id"]
    noted = _ask(begun, "POST", "runs/create", experiment_id=number)["run"]["info"]["run_id"]
    assert handful("import", used_zip, server=begun.server) == 0
    assert _GIVES_WAY in _said(capsys)
    assert _ask(begun, "GET", f"runs/get?run_id={noted}")["run"]["info"]["lifecycle_stage"] == "active"
    _ask(begun, "POST", "experiments/delete", experiment_id=number)
    assert _held(begun) == _held(used)
    assert handful("verify", used_zip, "--server", "--way", "portable", server=begun.server) == 0
    capsys.readouterr()
    assert handful("import", used_zip, server=begun.server) == 0
    assert "all of it is there already, nothing to do" in _said(capsys)
    assert _held(begun) == _held(used)


def test_two_starters_give_way_though_the_second_was_broken_off(
    used: Mlflow,
    used_zip: Path,
    begun: Mlflow,
    leaves: Path,
    handful: Handful,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(VersionWriter, "set_alias", _is_away)  # What is sent last.
        assert handful("import", "--as-starter", leaves, server=begun.server) == 5
    assert _held(begun)["versions"] == {("fingers", 1), ("leaves", 1)}
    assert handful("import", "--as-starter", leaves, server=begun.server) == 0
    assert _held(begun)["aliases"] == {("fingers", "champion", 1), ("leaves", "champion", 1)}
    capsys.readouterr()
    assert handful("import", used_zip, server=begun.server) == 0
    assert "the starter models, which nobody has used or changed, give way to the backup" in _said(capsys)
    assert _held(begun) == _held(used)


def _is_away(*_: object) -> None:
    raise UnavailableError("MLflow is away", "try again")


def test_the_starter_of_both_servers_is_one_thing(
    used: Mlflow, used_zip: Path, begun: Mlflow, handful: Handful, tmp_path: Path
) -> None:
    mine = _ask(begun, "POST", "runs/create", experiment_id="0")["run"]["info"]["run_id"]
    assert handful("import", used_zip, server=begun.server) == 0
    held, expected = _held(begun), _held(used)
    assert held["runs"] == expected["runs"] + 1  # Mine; the starter's is not doubled.
    assert held["versions"] == expected["versions"]
    assert held["aliases"] == {("fingers", "champion", 1)}  # Somebody has used this server: nothing is taken away.
    assert _ask(begun, "GET", f"runs/get?run_id={mine}")["run"]["info"]["lifecycle_stage"] == "active"
    # Back where it came from, it is there already.
    back = tmp_path / "back.zip"
    assert handful("export", "--model", "fingers", "--out", back, server=begun.server) == 0
    before = rows_of(used.database)
    assert handful("import", back, server=used.server) == 0
    assert rows_of(used.database) == before


def test_the_stack_s_starter_gives_way_and_serving_follows(
    used: Mlflow, used_zip: Path, starter: Path, stack: Mlflow, objects: S3Store, handful: Handful, tmp_path: Path
) -> None:
    stack.server.start()
    assert handful("import", "--as-starter", starter, server=stack.server) == 0
    serving = ServingProcess(tmp_path / "serving", stack.server.uri).start()
    try:
        assert _answer(serving)["version"] == 1
        words = ["import", used_zip, "--database", stack.database]
        assert handful(*words, server=stack.server) == 0  # Artifacts by way of MLflow, as the stack's tool does.
        until = time.monotonic() + 60
        while _answer(serving)["version"] != 2:
            assert time.monotonic() < until
            time.sleep(0.2)
        assert _answer(serving)["count"] == 7
    finally:
        serving.stop()
    assert rows_of(stack.database) == rows_of(used.database)
    assert objects_in(objects, BUCKET) == files_in(Path(used.artifacts))


def _answer(serving: ServingProcess) -> dict[str, Any]:
    files = {"image": ("hand.png", _SEVEN)}
    return dict(httpx.post(f"{serving.url}/predict", files=files, timeout=30).raise_for_status().json())


def _held(mlflow: Mlflow) -> dict[str, Any]:
    """What people see on a server: counts, numbers, aliases."""
    found = _ask(mlflow, "POST", "experiments/search", max_results=100)["experiments"]
    ids = [experiment["experiment_id"] for experiment in found]
    runs = _ask(mlflow, "POST", "runs/search", experiment_ids=ids, max_results=100).get("runs", [])
    models = _ask(mlflow, "POST", "logged-models/search", experiment_ids=ids).get("models", [])
    with Registry(mlflow.server.uri) as registry:
        versions = [version for model in registry.models() for version in registry.versions(model.name)]
    return {
        "experiments": {experiment["name"] for experiment in found},
        "runs": len(runs),
        "logged models": len(models),
        "versions": {(version.name, version.version) for version in versions},
        "aliases": {(version.name, alias, version.version) for version in versions for alias in version.aliases},
    }


def _said(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().err.split())


def _ask(mlflow: Mlflow, method: str, path: str, **body: object) -> dict[str, Any]:
    answer = httpx.request(method, f"{mlflow.server.uri}{_API}/{path}", json=body or None, timeout=60)
    return dict(answer.raise_for_status().json())
