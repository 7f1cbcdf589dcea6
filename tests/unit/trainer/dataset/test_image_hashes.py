"""The hashes by which a prepared dataset's images are known again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from fakes.squares import write_squares
from handful_trainer.dataset.image_hashes import image_hashes, seen_images
from handful_trainer.dataset.inspection.inspect import inspect_bytes
from handful_trainer.dataset.preparation.prepare import prepare
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.dataset.settings import DatasetConfig

IMAGES = 12


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Noise in blocks, so that no two look alike; one flat image, and one whose EXIF says that it is turned."""
    rng = np.random.default_rng(5)
    (tmp_path / "photos" / "images").mkdir(parents=True)
    (tmp_path / "photos" / "labels").mkdir()
    for number in range(IMAGES):
        path = tmp_path / "photos" / "images" / f"{number:02}.jpg"
        pixels = cv2.resize(rng.integers(0, 256, (8, 8, 3), np.uint8), (96, 64), interpolation=cv2.INTER_NEAREST)
        if number == 0:
            pixels = np.full((64, 96, 3), 99, np.uint8)
        exif = Image.Exif()
        exif[0x0112] = 6 if number == 1 else 1
        Image.fromarray(pixels).save(path, quality=95, exif=exif)
        (tmp_path / "photos" / "labels" / f"{number:02}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "photos" / "data.yaml").write_text("train: images\nnames: [thing]\n")
    return tmp_path / "photos"


def prepared(photos: Path, **settings: Any) -> PreparedDataset:
    config = DatasetConfig.model_validate({"source": "yolo", "path": photos, **settings})
    return prepare(config, photos.parent / "home")


def by_name(dataset: PreparedDataset) -> dict[str, tuple[str, int]]:
    splits = ("train", "val", "test")
    return {path.stem: tuple(h) for split in splits for path, h in image_hashes(dataset, split).items()}


def from_source(photos: Path) -> dict[str, tuple[str, int]]:
    files = {path.stem: path.read_bytes() for path in (photos / "images").iterdir()}
    return {name: (hashlib.sha256(data).hexdigest(), inspect_bytes(data).phash) for name, data in files.items()}


def without_list(dataset: PreparedDataset) -> PreparedDataset:
    (dataset.root / "assets.jsonl").unlink()
    return dataset


def with_lines(dataset: PreparedDataset, **changes: object) -> PreparedDataset:
    """As a Handful of before wrote it (None takes a key out), or somebody's mistake."""
    lines = [json.loads(line) for line in (dataset.root / "assets.jsonl").read_text().splitlines()]
    for line in lines:
        line.update(changes)
        line.pop("phash" if changes.get("phash", "") is None else "", None)
    (dataset.root / "assets.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    return dataset


def test_hashes_are_those_of_the_source_files(photos: Path) -> None:
    found, wanted = by_name(prepared(photos)), from_source(photos)
    assert sorted(found.values()) == sorted(wanted.values())
    assert [phash for _, phash in wanted.values()].count(-1) == 1, "the flat one"


def test_a_list_of_before_has_no_perceptual_hashes_and_they_are_made(photos: Path) -> None:
    dataset = prepared(photos)
    before = {phash for _, phash in by_name(dataset).values()}
    assert {phash for _, phash in by_name(with_lines(dataset, phash=None)).values()} == before


@pytest.mark.parametrize("damage", ["x", "123", 7, "-" * 16])
def test_a_damaged_list_is_not_believed(photos: Path, damage: object) -> None:
    dataset = prepared(photos)
    before = {phash for _, phash in by_name(dataset).values()}
    assert {phash for _, phash in by_name(with_lines(dataset, phash=damage)).values()} == before


def test_without_a_list_the_images_tell(photos: Path) -> None:
    found = by_name(without_list(prepared(photos)))
    wanted = from_source(photos)
    # What was turned upright is another file, with the same hash for the eye.
    assert len({sha for sha, _ in found.values()} & {sha for sha, _ in wanted.values()}) == IMAGES - 1
    assert {phash for _, phash in found.values()} == {phash for _, phash in wanted.values()}


def test_images_that_were_not_decoded_are_looked_at_now(photos: Path) -> None:
    trusting = prepared(photos, check="structure", keep_together={"near_duplicates": -1})
    lines = [json.loads(line) for line in (trusting.root / "assets.jsonl").read_text().splitlines()]
    assert None in {line["phash"] for line in lines}
    assert {phash for _, phash in by_name(trusting).values()} == {phash for _, phash in from_source(photos).values()}


def test_a_model_sees_train_and_val(photos: Path) -> None:
    dataset = prepared(photos)
    seen = seen_images(dataset)
    kept_back = {found.sha256 for found in image_hashes(dataset, "test").values()}
    assert seen.complete
    assert len(seen.phashes) == dataset.split_sizes["train"] + dataset.split_sizes["val"]
    assert not kept_back & seen.phashes.keys()


def test_a_folder_that_somebody_else_made_has_hashes_too(tmp_path: Path) -> None:
    dataset = PreparedDataset.open(write_squares(tmp_path / "squares"))
    seen = seen_images(dataset)
    files = [*dataset.images("train"), *dataset.images("val")]
    assert seen.phashes.keys() == {hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_folder_with_a_test_split_alone_has_nothing_to_see(tmp_path: Path) -> None:
    dataset = PreparedDataset.open(write_squares(tmp_path / "squares", splits=("test",)))
    assert seen_images(dataset).phashes == {}


@pytest.mark.parametrize(("wanted", "expected"), [({}, 4), ({"near_duplicates": 2}, 2), ({"near_duplicates": -1}, -1)])
def test_a_dataset_says_how_near_near_duplicates_are(photos: Path, wanted: dict[str, int], expected: int) -> None:
    assert prepared(photos, keep_together=wanted).near_duplicate_distance == expected


def test_without_a_report_near_is_as_by_default(tmp_path: Path) -> None:
    assert PreparedDataset.open(write_squares(tmp_path / "squares")).near_duplicate_distance == 4
