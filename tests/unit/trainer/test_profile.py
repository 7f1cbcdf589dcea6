"""The profile that packaging writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes.packages import build_package
from fakes.squares import SCENES, write_squares
from handful_core.package import Package, open_package, zip_package
from handful_core.profile import features_of_model, profile_of
from handful_core.profile.measurement import features_of
from handful_core.runtime.model import load_model
from handful_core.vision.decode import decode_reduced
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.packaging import profile as packaging
from handful_trainer.packaging.profile import with_profile


@pytest.fixture
def dataset(tmp_path: Path) -> PreparedDataset:
    return PreparedDataset.open(write_squares(tmp_path / "data"))


def test_it_holds_the_features_of_validation_then_test_images(tmp_path: Path, dataset: PreparedDataset) -> None:
    package = with_profile(build_package(tmp_path / "p"), dataset)
    profile = profile_of(package)
    assert profile is not None
    assert profile.splits == {"val": len(SCENES), "test": len(SCENES)}
    assert profile.rows == 2 * len(SCENES) == package.manifest.profile.images  # type: ignore[union-attr]
    assert profile.features == features_of_model(package.manifest)
    expected = [sum(int(name) for name in squares.values() if name != "unknown") for squares in SCENES]
    assert list(profile.columns["count"]) == expected * 2
    model = load_model(package)
    for place, path in enumerate([*dataset.images("val"), *dataset.images("test")]):
        data = path.read_bytes()
        image = decode_reduced(data)
        features = features_of(data, image, model.predict(image.pixels), package.manifest)
        assert {name: column[place] for name, column in profile.columns.items()} == features


def test_the_package_is_whole_and_says_schema_1_2(tmp_path: Path, dataset: PreparedDataset) -> None:
    package = with_profile(build_package(tmp_path / "p", schema_version="1.0"), dataset)
    with open_package(zip_package(package, tmp_path / "p.zip")) as opened:
        assert opened.manifest.schema_version == "1.2"
        assert profile_of(opened) == profile_of(package)
        load_model(opened)


def test_a_second_profile_replaces_the_first_and_is_the_same(tmp_path: Path, dataset: PreparedDataset) -> None:
    package = with_profile(build_package(tmp_path / "p"), dataset)
    digest, content = package.digest, (package.root / "profile.json").read_bytes()
    again = with_profile(package, dataset)
    assert (again.digest, (again.root / "profile.json").read_bytes()) == (digest, content)


def test_a_graph_with_an_embedding_gets_a_projection_fitted_on_training_images(
    tmp_path: Path, dataset: PreparedDataset
) -> None:
    package = with_profile(build_package(tmp_path / "p", "logits", limits=True), dataset)
    spec, profile = package.manifest.profile, profile_of(package)
    assert spec is not None
    assert profile is not None
    rows = np.load(package.root / "projection.npy")
    assert rows.shape == (1 + spec.directions, 3)
    assert spec.directions == 3, "an embedding of three numbers has no more directions"
    assert [feature.name for feature in profile.features][-4:] == [
        "embedding_00",
        "embedding_01",
        "embedding_02",
        "embedding_rest",
    ]
    assert all(isinstance(value, float) for value in profile.columns["embedding_00"])
    with_profile(package, dataset)
    assert np.array_equal(np.load(package.root / "projection.npy"), rows)


def test_too_few_training_images_make_no_projection(tmp_path: Path) -> None:
    dataset = PreparedDataset.open(write_squares(tmp_path / "data", SCENES[:3]))
    package = with_profile(build_package(tmp_path / "p", "logits", limits=True), dataset)
    assert package.manifest.profile is not None
    assert package.manifest.profile.projection is None
    assert not (package.root / "projection.npy").exists()
    profile = profile_of(package)
    assert profile is not None
    assert not any(name.startswith("embedding") for name in profile.columns)


def test_a_projection_that_is_no_longer_made_goes(tmp_path: Path, dataset: PreparedDataset) -> None:
    package = with_profile(build_package(tmp_path / "p", "logits", limits=True), dataset)
    few = PreparedDataset.open(write_squares(tmp_path / "few", SCENES[:3]))
    again = with_profile(package, few)
    assert "projection.npy" not in again.manifest.files
    load_model(again)


@pytest.mark.parametrize("splits", [("train", "val"), ("train", "test")])
def test_a_split_that_is_missing_has_no_rows(tmp_path: Path, splits: tuple[str, ...]) -> None:
    dataset = PreparedDataset.open(write_squares(tmp_path / "data", splits=splits))
    profile = profile_of(with_profile(build_package(tmp_path / "p"), dataset))
    assert profile is not None
    assert profile.splits == {splits[1]: len(SCENES)}


def test_of_many_images_some_are_measured(
    tmp_path: Path, dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packaging, "_MOST_IMAGES", 4)
    profile = profile_of(with_profile(build_package(tmp_path / "p"), dataset))
    assert profile is not None
    assert profile.splits == {"val": 4, "test": 4}


def of_schema_1_1(package: Package) -> dict[str, Any]:
    """The manifest as a reader that knows no profile has it."""
    content: dict[str, Any] = json.loads((package.root / "manifest.json").read_bytes())
    return {name: value for name, value in content.items() if name != "profile"}


def test_a_reader_that_knows_no_profile_reads_the_package(tmp_path: Path, dataset: PreparedDataset) -> None:
    """It ignores the field, and finds the files listed with their hashes as any others."""
    package = with_profile(build_package(tmp_path / "p"), dataset)
    content = of_schema_1_1(package)
    assert "profile.json" in content["files"]
    (package.root / "manifest.json").write_text(json.dumps(content))
    with open_package(package.root) as opened:
        assert opened.manifest.profile is None
        assert load_model(opened).manifest.name == "fingers"
