"""The split of a run, kept on another machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from fakes.exports import PicselliaExport, twelve
from handful_core.errors import ConfigError, NotFoundError
from handful_trainer.dataset.preparation.prepare import prepare
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.pipeline.kept_splits import fetch_splits
from support.mlflow_server import MlflowServer


def config(export: PicselliaExport, keep: str = "auto") -> DatasetConfig:
    return DatasetConfig.model_validate(
        {"source": "picsellia-export", "path": export.folder, "classes": ("cat", "dog"), "split": {"keep": keep}}
    )


def grown(export: PicselliaExport, home: Path) -> PreparedDataset:
    """A dataset that grew from 12 images to 40, in steps."""
    prepare(config(export), home)
    for number in range(12, 40):
        export.add(f"asset-{number}", ("cat" if number % 3 else "dog", 5, 5, 20, 20))
    export.write()
    return prepare(config(export), home)


def logged(dataset: PreparedDataset, uri: str) -> str:
    client = MlflowClient(uri)
    run = client.create_run("0").info.run_id
    client.log_artifact(run, str(dataset.root / "splits.csv"), "config")
    return str(run)


def test_the_same_bytes_on_another_machine(tmp_path: Path, shared_server: MlflowServer) -> None:
    export = twelve(tmp_path / "pets")
    here = grown(export, tmp_path / "here")
    run = logged(here, shared_server.uri)
    there = tmp_path / "there"
    assert prepare(config(export), tmp_path / "elsewhere").fingerprint != here.fingerprint  # Shared out at once.
    kept = prepare(fetch_splits(config(export, f"runs:/{run}"), there, shared_server.uri), there)
    assert kept.fingerprint == here.fingerprint
    assert (kept.root / "splits.csv").read_bytes() == (here.root / "splits.csv").read_bytes()


def test_a_version_stands_for_its_run(tmp_path: Path, shared_server: MlflowServer) -> None:
    export = twelve(tmp_path / "pets")
    here = grown(export, tmp_path / "here")
    client, name = MlflowClient(shared_server.uri), f"kept-{tmp_path.name}"
    client.create_registered_model(name)
    run = logged(here, shared_server.uri)
    client.create_model_version(name, client.get_run(run).info.artifact_uri, run_id=run)
    found = fetch_splits(config(export, f"models:/{name}/1"), tmp_path / "there", shared_server.uri)
    assert Path(found.split.keep).read_bytes() == (here.root / "splits.csv").read_bytes()


def test_what_is_not_there_is_named(tmp_path: Path, shared_server: MlflowServer) -> None:
    export = twelve(tmp_path / "pets")
    with pytest.raises(ConfigError, match=r"keep: the run 0{32} logged no config/splits\.csv"):
        fetch_splits(config(export, f"runs:/{'0' * 32}"), tmp_path, shared_server.uri)
    with pytest.raises(NotFoundError):
        fetch_splits(config(export, "models:/no-such-model/1"), tmp_path, shared_server.uri)
