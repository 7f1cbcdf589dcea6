"""A training that is made again from what MLflow has of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from fakes.squares import SCENES, write_squares
from support.mlflow_server import MlflowServer
from support.training import Trainer


@pytest.fixture
def trainer(tmp_path: Path, shared_server: MlflowServer) -> Iterator[Trainer]:
    """With a dataset of its own, which the test changes."""
    made = Trainer(tmp_path, write_squares(tmp_path / "squares", SCENES), shared_server.uri)
    yield made
    made.end_all()


def test_the_same_training_gives_the_same_metrics_and_a_changed_dataset_is_named(trainer: Trainer) -> None:
    first = trainer.finish(trainer.start(*trainer.anew()))
    again = trainer.run("reproduce", f"models:/{trainer.name}@champion")
    assert again.returncode == 0, again.stderr
    result = json.loads(again.stdout)
    assert result["run_id"] == first["run_id"]
    assert result["same"] is True
    assert result["conditions"] == {}
    assert {"val/mAP50_95", "test/mAP50"} <= set(result["metrics"])
    client = MlflowClient(trainer.uri)
    assert client.get_run(result["again"]).data.tags["reproduces"] == first["run_id"]
    assert client.get_run(first["run_id"]).data.params["dataset.split.keep"] == f"runs:/{first['run_id']}"
    assert "config/splits.csv" in {file.path for file in client.list_artifacts(first["run_id"], "config")}
    assert [v.version for v in client.search_model_versions(f"name='{trainer.name}'")] == ["1"]  # Nothing new.

    (image,) = (trainer.dataset / "images" / "train").glob("0.*")
    image.unlink()
    (trainer.dataset / "labels" / "train" / "0.txt").unlink()
    changed = trainer.run("reproduce", first["run_id"])
    assert changed.returncode == 8
    assert "what differs: dataset" in changed.stderr.splitlines()[-1]
    assert "dataset" in json.loads(changed.stdout)["conditions"]


def test_a_run_that_is_not_there(trainer: Trainer) -> None:
    result = trainer.run("reproduce", "0" * 32)
    assert result.returncode == 7
    assert "has no training" in result.stderr.splitlines()[-1]
