"""One model in a file, brought into another server, and served from there."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from fakes.packages import CLASSES, build_package, encode, picture
from handful_backup.archive import BackupReader
from handful_core.registry import Registry
from handful_core.registry.starters import STARTER_FILES
from support.backed_up_mlflow import Handful, Mlflow
from support.contents import rows_of
from support.mlflow_server import MlflowServer
from support.registering import register
from support.serving_process import ServingProcess

_MODEL = "starter"


def test_the_restored_champion_is_served(
    mlflow_server: str, other: Mlflow, handful: Handful, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = build_package(tmp_path / "package", name=_MODEL).root
    register(mlflow_server, root, _MODEL)
    assert register(mlflow_server, root, _MODEL, ["champion"]) == 2
    source = MlflowServer(tmp_path, port=int(mlflow_server.rpartition(":")[2]))
    backup = tmp_path / "starter.zip"
    assert handful("export", "--model", f"{_MODEL}@champion", "--out", backup, server=source) == 0
    with BackupReader(backup) as reader:  # That version, and nothing else of its model.
        counts = reader.manifest.counts
        assert [row["version"] for row in reader.rows("model_versions")] == [2]
    assert [counts[name] for name in ("registered_models", "model_versions", "logged_models")] == [1, 1, 1]
    assert counts["artifacts"] == len([path for path in root.rglob("*") if path.is_file()])
    assert handful("import", backup, server=other.server) == 0
    with Registry(other.server.uri) as registry:
        (version,) = registry.versions(_MODEL)
        assert (version.version, version.aliases) == (2, ("champion",))
    settings = {"HANDFUL_SERVING_DEFAULT_MODEL": _MODEL, "HANDFUL_SERVING_MODELS": _MODEL}
    serving = ServingProcess(tmp_path / "serving", other.server.uri, settings).start()
    try:
        image = {"image": ("hand.png", encode(picture({(2, 3): "5", (5, 6): "2"})))}
        answer = httpx.post(f"{serving.url}/predict", files=image, timeout=30).raise_for_status().json()
    finally:
        serving.stop()
    assert (answer["model"], answer["version"], answer["count"]) == (_MODEL, 2, 7)
    before = rows_of(other.database)
    capsys.readouterr()
    assert handful("import", backup, server=other.server) == 0
    assert capsys.readouterr().err == f"{backup}: all of it is there already, nothing to do\n"
    assert rows_of(other.database) == before


def test_a_champion_that_is_there_stays(
    mlflow_server: str, other: Mlflow, handful: Handful, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = build_package(tmp_path / "package", name="taken").root
    register(mlflow_server, root, "taken", ["champion"])
    register(other.server.uri, root, "taken", ["champion"])
    source = MlflowServer(tmp_path, port=int(mlflow_server.rpartition(":")[2]))
    backup = tmp_path / "taken.zip"
    assert handful("export", "--model", "taken@champion", "--out", backup, server=source) == 0
    assert handful("import", backup, server=other.server) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "model taken: version 1 gets the next free number" in said
    assert "model taken: its alias champion stays at version 1" in said
    with Registry(other.server.uri) as registry:
        assert [(v.version, v.aliases) for v in registry.versions("taken")] == [(2, ()), (1, ("champion",))]
    before = rows_of(other.database)
    assert handful("import", backup, server=other.server) == 0
    assert rows_of(other.database) == before


def test_both_starter_models_come_in_once_and_are_served_beside_each_other(
    mlflow_server: str, handful: Handful, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = MlflowServer(tmp_path, port=int(mlflow_server.rpartition(":")[2]))
    for name, head in (("fingers", "nms_free"), ("leaves", "probabilities")):
        root = build_package(tmp_path / name, name=name, head=head).root
        register(mlflow_server, root, name, ["champion"])
        backup = tmp_path / STARTER_FILES[name]
        assert handful("export", "--model", f"{name}@champion", "--out", backup, server=source) == 0
    fresh = MlflowServer(tmp_path / "fresh").start()
    serving = ServingProcess(tmp_path / "serving", fresh.uri)
    try:
        starter = _starter_job(repository, tmp_path, fresh.uri, monkeypatch)
        monkeypatch.setenv("STARTER_MODEL", "fingers")
        assert starter() == 0
        with Registry(fresh.uri) as registry:
            assert [model.name for model in registry.models()] == ["fingers"]
            monkeypatch.setenv("STARTER_MODEL", "fingers,leaves")
            for _ in range(2):
                assert starter() == 0
                found = [version for model in registry.models() for version in registry.versions(model.name)]
                assert [(v.name, v.version) for v in found] == [("fingers", 1), ("leaves", 1)]
                assert [v.aliases for v in found] == [("champion",), ("champion",)]
        serving.start()
        image = {"image": ("photo.png", encode(picture({(2, 3): "5"})))}
        answers = {
            name: httpx.post(f"{serving.url}/predict?model={name}", files=image, timeout=30).raise_for_status().json()
            for name in ("fingers", "leaves")
        }
    finally:
        serving.stop()
        fresh.stop()
    assert [found["name"] for found in answers["fingers"]["detections"]] == ["5"]
    assert {entry["name"] for entry in answers["leaves"]["top"]} <= set(CLASSES)
    assert sum(entry["probability"] for entry in answers["leaves"]["probabilities"]) == pytest.approx(1, abs=1e-3)


def _starter_job(repository: Path, models: Path, uri: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """What the container runs on each start, with `models` for its folder of starter models."""
    job: Callable[[], int] = runpy.run_path(str(repository / "services" / "backup" / "entry.py"))["_starter"]
    monkeypatch.setitem(job.__globals__, "_MODELS", models)
    monkeypatch.setenv("HANDFUL_MLFLOW_URI", uri)
    monkeypatch.setenv("HANDFUL_HOME", str(models / "var"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return job
