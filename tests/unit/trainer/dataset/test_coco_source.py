from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fakes.exports import coco_file, encoded, picture
from handful_core.errors import DataError
from handful_trainer.dataset.accounts import count_left_out
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import RawDataset
from handful_trainer.dataset.sources.registry import open_source

CAT = ("cat", 1, 2, 30, 20)


def image(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(picture(seed)))


def read(path: Path, images: Path | None = None) -> RawDataset:
    return open_source(DatasetConfig(source="coco", path=path, images=images), path).read()


@pytest.mark.parametrize(
    ("file", "folder"),
    [
        ("labels.json", "images"),
        ("labels.json", "."),
        ("annotations/instances_val2017.json", "val2017"),
        ("annotations/instances.json", "images"),
    ],
)
def test_images_are_found_in_the_usual_places(tmp_path: Path, file: str, folder: str) -> None:
    image(tmp_path / folder / "a.jpg")
    path = coco_file(tmp_path / file, {"a.jpg": [CAT, ("dog", 5, 5, 9, 9)], "gone.jpg": []})
    found = read(path)
    assert found.classes == ("cat", "dog")
    assert [(item.id, item.path is not None, item.size) for item in found.items] == [
        ("a", True, (64, 48)),
        ("gone", False, (64, 48)),
    ]
    assert found.items[0].boxes == (("cat", 1, 2, 30, 20, "box"), ("dog", 5, 5, 9, 9, "box"))
    roots = open_source(DatasetConfig(source="coco", path=path), tmp_path).roots()
    assert set(roots) == {path, (tmp_path / folder)}


def test_images_elsewhere_can_be_named(tmp_path: Path) -> None:
    image(tmp_path / "far" / "sub" / "a.jpg")
    path = coco_file(tmp_path / "x" / "labels.json", {"sub/a.jpg": [CAT]})
    assert read(path, tmp_path / "far").items[0].id == "sub_a"
    with pytest.raises(DataError, match=r"none of the usual places: set dataset\.images"):
        read(path)


@pytest.mark.parametrize(
    ("files", "folders"),
    [
        (["annotations/instances_train2017.json", "annotations/instances_val2017.json"], ["train2017", "val2017"]),
        (["train/_annotations.coco.json", "valid/_annotations.coco.json"], ["train", "valid"]),
    ],
)
def test_a_folder_with_a_file_for_each_split_keeps_them(tmp_path: Path, files: list[str], folders: list[str]) -> None:
    for file, folder in zip(files, folders, strict=True):
        image(tmp_path / folder / "a.jpg")
        coco_file(tmp_path / file, {"a.jpg": [CAT]})
    (tmp_path / "annotations").mkdir(exist_ok=True)
    assert [(item.id, item.split) for item in read(tmp_path).items] == [("train_a", "train"), ("val_a", "val")]


@pytest.mark.parametrize(
    ("folder", "splits"),
    [
        ("training", {"instances_train": "train", "instances_val": "val", "instances_test2017": "test"}),
        ("evaluation", {"instances_test": "test", "instances_minival2014": "val", "instances": None}),
        ("latest", {"batch1": None, "test-dev": "test", "contest": None, "Trained": None}),
        ("test", {"a": None, "b": None}),
    ],
)
def test_only_whole_words_of_the_files_name_tell_its_split(
    tmp_path: Path, folder: str, splits: dict[str, str | None]
) -> None:
    for name in splits:
        image(tmp_path / folder / f"{name}.jpg")
        coco_file(tmp_path / folder / f"{name}.json", {f"{name}.jpg": [CAT]})
    assert [item.split for item in read(tmp_path / folder).items] == [splits[name] for name in sorted(splits)]


def test_crowds_and_strays_are_not_boxes(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    path = coco_file(tmp_path / "c.json", {"a.jpg": [CAT, CAT]})
    content = json.loads(path.read_text())
    content["annotations"][0]["iscrowd"] = 1
    content["annotations"][1]["image_id"] = 99
    content["annotations"].append({"image_id": 1, "category_id": 5, "bbox": [1, 1, 2, 2]})
    path.write_text(json.dumps(content))
    found = read(path)
    assert [(box.shape, box.label) for box in found.items[0].boxes] == [("crowd", "cat"), ("box", "category 5")]
    assert count_left_out(found.accounts, "annotations", "of an unlisted image") == 1


def _set(*keys: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        place: Any = content
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_set("images", value=None), "no list of images"),
        (_set("categories", value={}), "no list of categories"),
        (_set("categories", 0, "name", value=3), "name is a number, not a text"),
        (_set("categories", 0, "id", value=2), "two categories with one id or name"),
        (_set("images", 0, value=[]), "image 1: a list where an object should be"),
        (_set("images", 0, "file_name", value="up/.."), "image 1: file_name 'up/..' names no file"),
        (_set("images", 0, "id", value=1.5), "image a.jpg: id is not a whole number"),
        (_set("images", 0, "id", value=True), "image a.jpg: id is not a whole number"),
        (_set("annotations", 0, "bbox", value=[1, 2, 3]), "image a.jpg: bbox is not a list of four numbers"),
        (_set("annotations", 0, "bbox", value=[1, 2, "3", 4]), "image a.jpg: bbox is a text, not a number"),
        (_set("annotations", 0, "category_id", value=None), "image a.jpg: category_id is not a whole number"),
    ],
)
def test_a_wrong_entry_is_refused_with_its_image(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], words: str
) -> None:
    image(tmp_path / "a.jpg")
    path = coco_file(tmp_path / "c.json", {"a.jpg": [CAT]})
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=words):
        read(path)


def test_what_is_no_coco_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no COCO file"):
        read(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        read(tmp_path / "gone.json")
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(DataError, match="holds a list, not COCO's object"):
        read(tmp_path)
