"""What the backup container runs."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import httpx
import pytest

from fakes.registry import FakeMlflow
from handful_core import registry
from handful_core.registry.records import SOURCE_VERSION
from handful_core.registry.starters import STARTER_FILES

_NO_FINGERS = "there is no models/starter.zip: the starter model fingers is not imported\n"
_NO_LEAVES = "there is no models/leaves.zip: the starter model leaves is not imported\n"


def _entry(repository: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    program = repository / "services" / "backup" / "entry.py"
    environment = os.environ | settings
    return subprocess.run(
        [sys.executable, program, *words], env=environment, capture_output=True, text=True, check=False
    )


def test_a_command_that_is_not_there_is_said_not_to_be(repository: Path) -> None:
    done = _entry(repository, "teleport", "--out", "x.zip")
    assert done.returncode == 2
    assert done.stderr == "error: this version of Handful has no `handful teleport` yet: nothing was done\n"


def test_no_starter_model_is_no_fault(repository: Path) -> None:
    done = _entry(repository, "starter")
    assert done.returncode == 0
    assert done.stderr == _NO_FINGERS


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ("off", "STARTER_MODEL is none: no starter model is imported\n"),
        ("none", "STARTER_MODEL is none: no starter model is imported\n"),
        ("On", _NO_FINGERS),
        ("", _NO_FINGERS),
        ("leaves", _NO_LEAVES),
        ("fingers,leaves", _NO_FINGERS + _NO_LEAVES),
        (
            "no",
            "error: STARTER_MODEL is 'no': it is fingers, leaves, several of them with a comma between, or none: "
            "no starter model is imported; the platform works without one\n",
        ),
    ],
)
def test_the_starter_models_are_a_choice(repository: Path, choice: str, said: str) -> None:
    done = _entry(repository, "starter", STARTER_MODEL=choice)
    assert (done.returncode, done.stderr) == (0, said)


class _Container:
    """The job `starter` of the container, in this process: a folder of models, MLflow in memory, imports noted."""

    def __init__(self, repository: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._job = runpy.run_path(str(repository / "services" / "backup" / "entry.py"))["_starter"]
        self._job.__globals__["_MODELS"] = models
        self._monkeypatch = monkeypatch
        self.mlflow = FakeMlflow()
        self.imported: list[str] = []
        self.failing = ""
        monkeypatch.setenv("HANDFUL_MLFLOW_URI", "http://mlflow")
        monkeypatch.setattr(registry, "Registry", partial(registry.Registry, transport=self.mlflow.transport()))
        monkeypatch.setattr(subprocess, "run", self._run)

    def _run(self, command: list[str], *, check: bool) -> subprocess.CompletedProcess[str]:
        assert command[:3] == ["handful", "import", "--as-starter"]
        file = Path(command[3]).name
        self.imported.append(file)
        return subprocess.CompletedProcess(command, 4 if file == self.failing else 0)

    def start(self, choice: str) -> None:
        self._monkeypatch.setenv("STARTER_MODEL", choice)
        assert self._job() == 0


@pytest.fixture
def container(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Container:
    for file in STARTER_FILES.values():
        (tmp_path / file).touch()
    return _Container(repository, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("choice", "files"),
    [
        ("", ["starter.zip"]),
        ("fingers", ["starter.zip"]),
        ("leaves", ["leaves.zip"]),
        ("leaves, Fingers,leaves", ["leaves.zip", "starter.zip"]),
        ("none", []),
        ("none,leaves", []),
    ],
)
def test_an_empty_registry_gets_what_is_chosen(container: _Container, choice: str, files: list[str]) -> None:
    container.start(choice)
    assert container.imported == files


def test_a_starter_that_is_chosen_later_comes_beside_the_first(
    container: _Container, capfd: pytest.CaptureFixture[str]
) -> None:
    container.mlflow.register(None, name="fingers", tags={SOURCE_VERSION: "fingers/1 7"}, aliases=["champion"])
    container.start("fingers,leaves")
    assert container.imported == ["leaves.zip"]
    assert capfd.readouterr().err == "the registry has fingers already: the starter model is not imported\n"


def test_a_registry_of_somebody_gets_no_starter_but_the_command_for_it(
    container: _Container, capfd: pytest.CaptureFixture[str]
) -> None:
    container.mlflow.register(None, name="plants")
    container.start("leaves")
    assert container.imported == []
    assert capfd.readouterr().err == (
        "the registry has plants already: the starter model leaves is not imported; "
        "`handful import models/leaves.zip` brings it\n"
    )


def test_a_starter_that_fails_keeps_the_other_not_out(container: _Container, capfd: pytest.CaptureFixture[str]) -> None:
    container.failing = "starter.zip"
    container.start("fingers,leaves")
    assert container.imported == ["starter.zip", "leaves.zip"]
    assert capfd.readouterr().err == (
        "error: the starter model fingers could not be imported, see above; the platform works without it\n"
    )


def test_an_import_that_was_broken_off_goes_on(container: _Container) -> None:
    container.mlflow.register(None, name="fingers", tags={SOURCE_VERSION: "fingers/1 7"})  # Aliases come last.
    container.start("fingers")
    container.mlflow.point("champion", 1, name="fingers")
    container.start("fingers")
    container.mlflow.drop_alias("champion", name="fingers")
    container.mlflow.register(None, name="fingers")  # Somebody's own.
    container.start("fingers")
    assert container.imported == ["starter.zip"]


def test_a_registry_that_does_not_answer_keeps_nothing_down(
    container: _Container, capfd: pytest.CaptureFixture[str]
) -> None:
    container.mlflow.answer = lambda _: httpx.Response(403, json={})
    container.start("fingers")
    assert "refuses access with status 403" in (said := capfd.readouterr().err)
    assert said.endswith("no starter model is imported; the platform works without one\n")


def test_the_database_is_named_with_its_secret(repository: Path, tmp_path: Path) -> None:
    entry = runpy.run_path(str(repository / "services" / "backup" / "entry.py"))
    entry["_environment"].__globals__["_SECRETS"] = tmp_path
    own = {"POSTGRES_USER": "mlflow", "POSTGRES_DB": "runs"}
    assert entry["_environment"](own) == own
    (tmp_path / "postgres_password").write_text("a/b@c:d\n")
    for port in ({}, {"POSTGRES_PORT": ""}):
        named = entry["_environment"](own | port)
        assert named["HANDFUL_BACKUP_DATABASE_URL"] == "postgresql+psycopg2://mlflow@postgres:5432/runs"
        password_file = Path(named["PGPASSFILE"])
        assert "a/b" not in json.dumps(named)
        assert password_file.read_text() == "postgres:5432:*:mlflow:a/b@c\\:d\n"
        assert password_file.stat().st_mode & 0o777 == 0o600
        shutil.rmtree(password_file.parent)
    (tmp_path / "postgres_password").unlink()
    (tmp_path / "database").mkdir()
    (tmp_path / "database" / "postgres_password").write_text("kept")
    kept = Path(entry["_environment"](own)["PGPASSFILE"])
    assert kept.read_text().endswith(":kept\n")
    shutil.rmtree(kept.parent)
    mine = {"HANDFUL_BACKUP_DATABASE_URL": "sqlite:///mine.db"}
    assert entry["_environment"](mine) == mine
