"""Completing a package's list of seen images."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.packages import build_package
from fakes.squares import write_squares
from handful_core.errors import DataError
from handful_core.package import SeenImages, open_package, seen_by
from handful_trainer.dataset.image_hashes import seen_images
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.packaging.build import with_seen


def test_a_list_grows_by_what_it_lacks(tmp_path: Path) -> None:
    package = build_package(tmp_path / "package")
    one, other = (
        PreparedDataset.open(write_squares(tmp_path / name, [{(column, 1): "1"}]))
        for column, name in enumerate(("one", "other"))
    )
    first = with_seen(package, [one], tmp_path / "first")
    second = with_seen(first, [other, one], tmp_path / "second")
    assert seen_by(package) == SeenImages(complete=False), "it is left as it is"
    assert seen_by(first) == seen_images(one)
    assert seen_by(second) == seen_images(one) | seen_images(other)
    with open_package(second.root) as opened:
        assert opened.manifest.seen is not None
        assert (opened.manifest.seen.images, opened.manifest.seen.complete) == (4, True)


def test_a_package_of_an_older_schema_says_the_new_one(tmp_path: Path) -> None:
    package = build_package(tmp_path / "package", schema_version="1.0")
    dataset = PreparedDataset.open(write_squares(tmp_path / "one"))
    assert with_seen(package, [dataset], tmp_path / "listed").manifest.schema_version == "1.2"


def test_a_dataset_that_nothing_is_trained_on_completes_no_list(tmp_path: Path) -> None:
    package = build_package(tmp_path / "package")
    dataset = PreparedDataset.open(write_squares(tmp_path / "judged", splits=("test",)))
    with pytest.raises(DataError, match="has no train or val images: name the datasets that the model was trained on"):
        with_seen(package, [dataset], tmp_path / "listed")
    assert not (tmp_path / "listed").exists()
