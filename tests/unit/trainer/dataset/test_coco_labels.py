"""COCO files that say what whole images show, as Datumaro, CVAT and others write them."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handful_core.errors import DataError
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import RawDataset
from handful_trainer.dataset.sources.registry import open_source

CATEGORIES = [{"id": 1, "name": "healthy"}, {"id": 2, "name": "rust"}]


def read(folder: Path, **files: dict[str, list[int]]) -> RawDataset:
    """Write JSON files, each with the categories of its images by name, and read them."""
    for name, found in files.items():
        images = [{"id": number, "file_name": image} for number, image in enumerate(found)]
        annotations = [
            {"id": 1, "image_id": number, "category_id": category}
            for number, categories in enumerate(found.values())
            for category in categories
        ]
        for image in found:
            (folder / "images").mkdir(parents=True, exist_ok=True)
            (folder / "images" / image).touch()
        (folder / "annotations").mkdir(exist_ok=True)
        content: dict[str, Any] = {"images": images, "annotations": annotations, "categories": CATEGORIES}
        (folder / "annotations" / f"{name}.json").write_text(json.dumps(content))
    return open_source(DatasetConfig(source="coco", path=folder, images=folder / "images"), folder).read()


def test_annotations_without_shapes_are_labels(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        labels_train={"a.jpg": [1], "b.jpg": [2], "c.jpg": [1, 2], "d.jpg": []},
        labels_val={"e.jpg": [2, 2]},
    )
    assert {item.name: (item.labels, item.split, item.boxes) for item in found.items} == {
        "a.jpg": (("healthy",), "train", ()),
        "b.jpg": (("rust",), "train", ()),
        "c.jpg": (("healthy", "rust"), "train", ()),
        "d.jpg": ((), "train", ()),
        "e.jpg": (("rust",), "val", ()),
    }
    assert found.classes == ("healthy", "rust")


def test_two_files_with_different_labels_for_an_image_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"image a\.jpg: .* has other labels for it"):
        read(tmp_path, one={"a.jpg": [1]}, two={"a.jpg": [2]})


def test_a_file_with_one_box_has_boxes_only(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    annotations = [{"image_id": 1, "category_id": 1}, {"image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4]}]
    content = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": annotations, "categories": CATEGORIES}
    (tmp_path / "labels.json").write_text(json.dumps(content))
    found = open_source(DatasetConfig(source="coco", path=tmp_path), tmp_path).read()
    assert (found.items[0].labels, len(found.items[0].boxes)) == ((), 1)
    (account,) = (account for account in found.accounts if account.kind == "annotations")
    assert account.left_out["without a box or an outline"].number == 1


@settings(max_examples=100)
@given(st.lists(st.lists(st.sampled_from([1, 2, 9]), max_size=3), min_size=1, max_size=6), st.integers(0, 3))
def test_all_that_is_found_is_used_or_left_out_under_its_reason(plan: list[list[int]], strays: int) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        plan[0] = [1, *plan[0]]
        images = {f"image {number}.jpg": found for number, found in enumerate(plan)}
        (folder / "images").mkdir()
        for number in range(strays):
            (folder / "images" / f"stray {number}.png").touch()
        found = read(folder, labels=images)
        accounts = {
            each.kind: (each.found, each.used, {reason: entry.number for reason, entry in each.left_out.items()})
            for each in found.accounts
        }
        annotations = sum(map(len, plan))
        left_out = {"not listed": strays} if strays else {}
        assert accounts == {
            "JSON files": (1, 1, {}),
            "image records": (len(plan), len(plan), {}),
            "categories": (2, 2, {}),
            "annotations": (annotations, annotations, {}),
            "image files": (len(plan) + strays, len(plan), left_out),
        }
        names = {1: "healthy", 2: "rust", 9: "category 9"}
        for item, categories in zip(found.items, plan, strict=True):
            assert item.labels == tuple(dict.fromkeys(names[category] for category in categories))
    finally:
        shutil.rmtree(folder)
