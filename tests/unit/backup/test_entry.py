"""What the backup container runs."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from functools import partial
from pathlib import Path

import httpx
import pytest

from fakes.registry import FakeMlflow
from handful_backup.mlflow_tags import SOURCE_VERSION
from handful_core import registry


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
    assert done.stderr == "there is no models/starter.zip: nothing to import\n"


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ("off", "STARTER_MODEL is off: the starter model is not imported\n"),
        ("On", "there is no models/starter.zip: nothing to import\n"),
        ("", "there is no models/starter.zip: nothing to import\n"),
        ("no", "error: STARTER_MODEL is 'no': it is on or off; the starter model is not imported\n"),
    ],
)
def test_the_starter_model_can_be_refused(repository: Path, choice: str, said: str) -> None:
    done = _entry(repository, "starter", STARTER_MODEL=choice)
    assert (done.returncode, done.stderr) == (0, said)


def test_only_a_registry_that_nobody_uses_gets_the_starter_model(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_use = runpy.run_path(str(repository / "services" / "backup" / "entry.py"))["_in_use"]
    mlflow = FakeMlflow()
    monkeypatch.setenv("HANDFUL_MLFLOW_URI", "http://mlflow")
    monkeypatch.setattr(registry, "Registry", partial(registry.Registry, transport=mlflow.transport()))
    assert not in_use()
    mlflow.register(None, tags={SOURCE_VERSION: "fingers/1 7"})
    assert not in_use()  # An import that was broken off: aliases come last.
    mlflow.point("champion", 1)
    assert in_use()
    mlflow.drop_alias("champion")
    mlflow.register(None)
    assert in_use()


def test_a_registry_that_does_not_answer_keeps_nothing_down(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    starter = runpy.run_path(str(repository / "services" / "backup" / "entry.py"))["_starter"]
    (tmp_path / "starter.zip").touch()
    starter.__globals__["_STARTER"] = tmp_path / "starter.zip"
    monkeypatch.setenv("HANDFUL_MLFLOW_URI", "http://mlflow")
    broken = httpx.MockTransport(lambda _: httpx.Response(403, json={}))
    monkeypatch.setattr(registry, "Registry", partial(registry.Registry, transport=broken))
    assert starter() == 0
    assert "refuses access with status 403" in (said := capfd.readouterr().err)
    assert said.endswith("the starter model is not imported; the platform works without it\n")


def test_the_database_is_named_with_its_secret(repository: Path, tmp_path: Path) -> None:
    entry = runpy.run_path(str(repository / "services" / "backup" / "entry.py"))
    entry["_environment"].__globals__["_SECRETS"] = tmp_path
    own = {"POSTGRES_USER": "mlflow", "POSTGRES_DB": "runs"}
    assert entry["_environment"](own) == own
    (tmp_path / "postgres_password").write_text("a/b@c\n")
    named = entry["_environment"](own)["HANDFUL_BACKUP_DATABASE_URL"]
    assert named == "postgresql+psycopg2://mlflow:a%2Fb%40c@postgres:5432/runs"
    mine = {"HANDFUL_BACKUP_DATABASE_URL": "sqlite:///mine.db"}
    assert entry["_environment"](mine) == mine
