"""A registered package whose weights hold code, in every command that meets it: none of it runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from mlflow.tracking import MlflowClient

from fakes.hostile import hostile_checkpoint
from fakes.packages import build_package
from handful_core.package import Package, write_package
from handful_core.package.archive import describe_files
from support.registering import register
from support.training import Trainer


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "trace"


@pytest.fixture
def package(trainer: Trainer, tmp_path: Path, trace: Path) -> Package:
    made = build_package(tmp_path / "hostile" / "package", name=trainer.name)
    hostile_checkpoint(made.root / "weights.pt", trace)
    files = {"weights": "weights.pt", "files": describe_files(made.root)}
    return write_package(made.root, made.manifest.model_copy(update=files))


def test_no_training_begins_with_it(trainer: Trainer, package: Package, trace: Path, tmp_path: Path) -> None:
    version = register(trainer.uri, package.root, trainer.name)
    reference = f"model.pretrained=models:/{trainer.name}/{version}"
    search = tmp_path / "search.yaml"
    search.write_text(yaml.safe_dump({"search": {"training.lr0": {"low": 0.001, "high": 0.01}}}))
    done = trainer.run("train", *trainer.anew(reference))
    assert done.returncode == 3, done.stderr
    assert "holds more than a network's weights (" in done.stderr.splitlines()[-1]
    run = trainer.mlflow_run()
    assert run.info.status == "FAILED"
    assert trainer.run("reproduce", run.info.run_id).returncode != 0
    words = ("--search", str(search), "--trials", "1", "--name", trainer.name)
    assert trainer.run("tune", *trainer.anew(reference), *words).returncode != 0
    assert not trace.exists()


def test_no_registration_reads_it(trainer: Trainer, package: Package, trace: Path) -> None:
    done = trainer.run("register", str(package.root), "--data", str(trainer.dataset), "--name", trainer.name)
    assert done.returncode == 0, done.stderr
    assert [v.version for v in MlflowClient(trainer.uri).search_model_versions(f"name='{trainer.name}'")] == ["1"]
    assert not trace.exists()
