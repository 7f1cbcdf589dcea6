"""Where the weights come from that a training begins with."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from fakes.packages import build_package
from fakes.registry import FakeMlflow
from handful_core.errors import ConfigError, UnavailableError
from handful_core.package import Package, write_package
from handful_core.package.archive import describe_files
from handful_core.registry import Registry
from handful_trainer.pipeline import weights
from handful_trainer.pipeline.weights import find_weights, resolve_alias
from handful_trainer.tasks.detection.settings import DetectionConfig
from handful_trainer.tasks.detection.ultralytics import configure_ultralytics, download_weights

NOWHERE = "http://mlflow"


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> FakeMlflow:
    server = FakeMlflow()
    monkeypatch.setattr(weights, "Registry", partial(Registry, transport=server.transport()))
    return server


def with_weights(folder: Path) -> Package:
    package = build_package(folder)
    (folder / "weights.pt").write_bytes(b"weights")
    return write_package(
        folder, package.manifest.model_copy(update={"weights": "weights.pt", "files": describe_files(folder)})
    )


def config(pretrained: str | bool) -> DetectionConfig:
    return DetectionConfig.model_validate({"dataset": {"source": "sample"}, "model": {"pretrained": pretrained}})


def test_local_weights_are_taken_from_where_they_are(tmp_path: Path) -> None:
    weights = tmp_path / "mine.pt"
    weights.write_bytes(b"weights")
    assert find_weights(str(weights), tmp_path, NOWHERE, download_weights) == weights


def test_downloaded_weights_are_found_again(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "yolo11n.pt").write_bytes(b"weights")
    assert find_weights("yolo11n.pt", tmp_path, NOWHERE, download_weights) == tmp_path / "weights" / "yolo11n.pt"


def test_weights_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none/mine\.pt does not exist"):
        find_weights("none/mine.pt", tmp_path, NOWHERE, download_weights)


def test_weights_that_cannot_be_downloaded_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise ConnectionError("no network")

    configure_ultralytics(tmp_path)
    monkeypatch.setattr("ultralytics.utils.downloads.safe_download", no_network)
    with pytest.raises(UnavailableError, match=r"yolo11n\.pt cannot be downloaded: put the file"):
        find_weights("yolo11n.pt", tmp_path, NOWHERE, download_weights)


def test_a_registered_model_gives_its_weights(mlflow: FakeMlflow, tmp_path: Path) -> None:
    package = with_weights(tmp_path / "package")
    mlflow.register(package, name="fingers", aliases=["champion"])
    for reference in ("models:/fingers@champion", "models:/fingers/1"):
        found = find_weights(reference, tmp_path, NOWHERE, download_weights)
        assert found.read_bytes() == b"weights"
        assert found == tmp_path / "weights" / f"fingers-1-{package.digest[:12]}.pt"
    assert [path.name for path in (tmp_path / "weights").iterdir()] == [found.name]


def test_a_registered_model_without_weights_is_refused(mlflow: FakeMlflow, tmp_path: Path) -> None:
    mlflow.register(build_package(tmp_path / "package"), name="fingers")
    with pytest.raises(ConfigError, match=r"fingers version 1 holds no weights: train it with package\.weights: true"):
        find_weights("models:/fingers/1", tmp_path, NOWHERE, download_weights)


@pytest.mark.parametrize("reference", ["models:/fingers@champion", "models:/fingers/7", "models:/other/1"])
def test_a_model_that_is_not_registered_is_named(mlflow: FakeMlflow, tmp_path: Path, reference: str) -> None:
    mlflow.register(with_weights(tmp_path / "package"), name="fingers")
    with pytest.raises(ConfigError, match=rf"{reference} is not in the registry .*`handful import models/starter"):
        find_weights(reference, tmp_path, NOWHERE, download_weights)


def test_a_reference_that_names_nothing_says_how_to_write_it(mlflow: FakeMlflow, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"write models:/NAME@ALIAS or models:/NAME/VERSION"):
        find_weights("models:/fingers", tmp_path, NOWHERE, download_weights)


def test_a_run_says_which_version_it_began_with(mlflow: FakeMlflow, tmp_path: Path) -> None:
    package = with_weights(tmp_path / "package")
    mlflow.register(package, name="fingers")
    mlflow.register(package, name="fingers", aliases=["champion"])
    assert resolve_alias(config("models:/fingers@champion"), NOWHERE).model.pretrained == "models:/fingers/2"


@pytest.mark.parametrize("pretrained", [False, "yolo11n.pt", "mine/weights.pt"])
def test_other_weights_need_no_server(mlflow: FakeMlflow, pretrained: str | bool) -> None:
    mlflow.away = True
    assert resolve_alias(config(pretrained), NOWHERE) == config(pretrained)
