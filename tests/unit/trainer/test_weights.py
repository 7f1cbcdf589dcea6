"""Where the weights come from that a training begins with."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from fakes.packages import build_package
from fakes.registry import FakeMlflow
from handful_core.errors import ConfigError, PackageError, UnavailableError
from handful_core.package import Package, SeenImages, write_package
from handful_core.package.archive import describe_files
from handful_core.registry import Registry
from handful_trainer.pipeline import weights
from handful_trainer.pipeline.weights import find_weights, resolve_alias, seen_before
from handful_trainer.tasks.detection.settings import DetectionConfig
from handful_trainer.tasks.detection.task import UltralyticsEngine
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


def test_weights_of_another_task_are_refused(mlflow: FakeMlflow, tmp_path: Path) -> None:
    mlflow.register(with_weights(tmp_path / "package"), name="leaves", aliases=["champion"], tags={"task": "classify"})
    with pytest.raises(ConfigError, match="models:/leaves@champion is for the task classify, and this is for detect"):
        resolve_alias(config("models:/leaves@champion"), NOWHERE)


@pytest.mark.parametrize("pretrained", [False, "yolo11n.pt", "mine/weights.pt"])
def test_other_weights_need_no_server(mlflow: FakeMlflow, pretrained: str | bool) -> None:
    mlflow.away = True
    assert resolve_alias(config(pretrained), NOWHERE) == config(pretrained)


@pytest.mark.parametrize(
    ("pretrained", "complete"),
    [
        (False, True),
        ("yolo11n.pt", True),
        ("somewhere/yolo11n.pt", True),
        ("runs/run/yolo/weights/best.pt", False),
        ("fingers-1-0a1b2c3d4e5f.pt", False),
    ],
)
def test_published_weights_have_seen_none_of_the_users_images(
    mlflow: FakeMlflow, tmp_path: Path, pretrained: str | bool, complete: bool
) -> None:
    mlflow.away = True
    configure_ultralytics(tmp_path)
    assert seen_before(config(pretrained), UltralyticsEngine(), NOWHERE) == SeenImages({}, complete)


def listing(folder: Path, seen: SeenImages) -> Package:
    package = with_weights(folder)
    listed = seen.write(folder)
    return write_package(folder, package.manifest.model_copy(update={"seen": listed, "files": describe_files(folder)}))


@pytest.mark.parametrize("complete", [True, False])
def test_what_the_base_has_seen_counts(mlflow: FakeMlflow, tmp_path: Path, complete: bool) -> None:
    seen = SeenImages({"a" * 64: 5, "b" * 64: -1}, complete)
    mlflow.register(listing(tmp_path / "package", seen))
    assert seen_before(config("models:/fingers/1"), UltralyticsEngine(), NOWHERE) == seen


def test_of_a_base_without_a_list_nothing_is_known(mlflow: FakeMlflow, tmp_path: Path) -> None:
    mlflow.register(with_weights(tmp_path / "package"))
    assert seen_before(config("models:/fingers/1"), UltralyticsEngine(), NOWHERE) == SeenImages({}, complete=False)


def test_a_base_with_a_damaged_list_is_told(mlflow: FakeMlflow, tmp_path: Path) -> None:
    package = listing(tmp_path / "package", SeenImages({"a" * 64: 5}))
    (package.root / "seen.csv").write_text("sha256,phash\nsomething else\n")
    update = {"files": describe_files(package.root)}
    mlflow.register(write_package(package.root, package.manifest.model_copy(update=update)))
    with pytest.raises(PackageError, match=r"seen\.csv, .* has no sha256 and perceptual hash on line 2"):
        seen_before(config("models:/fingers/1"), UltralyticsEngine(), NOWHERE)
