"""The split of a run, kept on another machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from mlflow.tracking import MlflowClient

from fakes.exports import PicselliaExport, twelve
from handful_core.errors import ConfigError, NotFoundError
from handful_trainer.dataset.preparation.prepare import prepare
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.pipeline.kept_splits import bring_back_splits, fetch_splits, warn_of_moved_images
from support.mlflow_server import MlflowServer, free_port


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


def champion(dataset: PreparedDataset, settings: DatasetConfig, name: str, uri: str, folder: Path) -> None:
    """A champion whose run says what it was trained on."""
    client, run = MlflowClient(uri), logged(dataset, uri)
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump({"dataset": settings.model_dump(mode="json"), "mlflow": {"model_name": name}}))
    client.log_artifact(run, str(file), "config")
    client.create_registered_model(name)
    client.create_model_version(name, client.get_run(run).info.artifact_uri, run_id=run)
    client.set_registered_model_alias(name, "champion", "1")


def test_after_a_loss_images_stay_where_the_champion_had_them(tmp_path: Path, shared_server: MlflowServer) -> None:
    export, name, there = twelve(tmp_path / "pets"), f"lost-{tmp_path.name}", tmp_path / "there"
    here = grown(export, tmp_path / "here")
    champion(here, config(export), name, shared_server.uri, tmp_path)
    words = [sys.executable, "-m", "handful_core", "data", "prepare", "--config", str(tmp_path / "config.yaml")]
    places = {"HANDFUL_HOME": str(there), "HANDFUL_MLFLOW_URI": shared_server.uri}
    done = subprocess.run(words, env=os.environ | places, capture_output=True, text=True, check=True)
    assert f"images stay in the splits that {name} version 1, the champion, had them in" in done.stderr
    again = prepare(config(export), there)
    assert again.fingerprint == here.fingerprint
    assert warn_of_moved_images(again, name, shared_server.uri) == 0


def test_another_way_of_sharing_out_is_not_undone_and_what_it_moves_is_told(
    tmp_path: Path, shared_server: MlflowServer, capsys: pytest.CaptureFixture[str]
) -> None:
    export, name, there = twelve(tmp_path / "pets"), f"moved-{tmp_path.name}", tmp_path / "there"
    here = grown(export, tmp_path / "here")
    champion(here, config(export), name, shared_server.uri, tmp_path)
    other = config(export).model_copy(update={"seed": 9})
    bring_back_splits(other, name, there, shared_server.uri)
    assert not (there / "splits").exists()
    shared_anew = prepare(other, there)
    capsys.readouterr()
    moved = warn_of_moved_images(shared_anew, name, shared_server.uri)
    tested = {path.name for path in here.images("test")}
    assert moved == len(tested & {path.name for path in shared_anew.images("train")}) > 0
    said = capsys.readouterr().err
    assert f"warning: {moved} of {len(tested)} images that tested {name} version 1, the champion, are" in said
    kept = prepare(fetch_splits(config(export, f"models:/{name}@champion"), there, shared_server.uri), there)
    assert warn_of_moved_images(kept, name, shared_server.uri) == 0, "the warning says what helps"


def test_what_is_remembered_here_counts_more_than_the_champion(tmp_path: Path, shared_server: MlflowServer) -> None:
    export, name = twelve(tmp_path / "pets"), f"remembered-{tmp_path.name}"
    champion(grown(export, tmp_path / "here"), config(export), name, shared_server.uri, tmp_path)
    own = prepare(config(export), tmp_path / "own")
    bring_back_splits(config(export), name, tmp_path / "own", shared_server.uri)
    assert prepare(config(export), tmp_path / "own").fingerprint == own.fingerprint


@pytest.mark.parametrize("model", ["no-such-model", "kept-without-a-champion"])
def test_without_a_champion_nothing_is_brought_or_told(
    tmp_path: Path, shared_server: MlflowServer, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    export = twelve(tmp_path / "pets")
    bring_back_splits(config(export), model, tmp_path / "there", shared_server.uri)
    made = prepare(config(export), tmp_path / "there")
    capsys.readouterr()
    assert warn_of_moved_images(made, model, shared_server.uri) == 0
    assert capsys.readouterr().err == ""


def test_a_dataset_is_prepared_while_mlflow_is_away_which_is_said(tmp_path: Path) -> None:
    export = twelve(tmp_path / "pets")
    note = bring_back_splits(config(export), "anything", tmp_path / "there", f"http://127.0.0.1:{free_port()}")
    assert not (tmp_path / "there").exists()
    assert "so these images were shared out without asking for the splits of anything's champion" in note
    assert "does not answer" in note
