from __future__ import annotations

from pathlib import Path

import pytest

from fakes.exports import encoded, picture, yolo_folder
from handful_core.errors import DataError
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import RawDataset
from handful_trainer.dataset.sources.registry import open_source
from handful_trainer.dataset.sources.yolo.folder import open_yolo_folder
from handful_trainer.dataset.sources.yolo.label_files import label_path
from handful_trainer.dataset.sources.yolo.labels import read_labels

BOX = "0 0.5 0.5 0.25 0.5\n"


def read(path: Path) -> RawDataset:
    return open_source(DatasetConfig(source="yolo", path=path), path).read()


def test_splits_labels_and_names_are_read(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path / "y", {"train/a.jpg": BOX, "train/b.png": "", "val/a.jpg": "1 0.5 0.5 1 1\n"})
    found = read(folder)
    assert found.classes == ("cat", "dog")
    assert [(item.id, item.split) for item in found.items] == [
        ("train_a", "train"),
        ("train_b", "train"),
        ("val_a", "val"),
    ]
    assert found.items[0].boxes == (("cat", 0.375, 0.25, 0.25, 0.5, "box"),)
    assert found.items[0].relative
    assert found.items[1].boxes == ()


def test_an_image_without_a_label_file_shows_nothing(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path / "y", {"train/a.jpg": None, "train/b.jpg": BOX})
    assert [len(item.boxes) for item in read(folder).items] == [0, 1]


def test_data_yaml_itself_can_be_named(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path / "y", {"train/a.jpg": BOX})
    assert read(folder / "data.yaml") == read(folder)


def test_a_folder_that_two_splits_name_belongs_to_the_first(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path / "y", {"a.jpg": BOX}, train="images", val="images")
    assert [item.split for item in read(folder).items] == ["train"]


def test_a_list_of_files_is_read(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path / "y", {"a.jpg": BOX, "b.jpg": BOX}, train="train.txt")
    (folder / "train.txt").write_text("./images/b.jpg\n\n")
    assert [item.name for item in read(folder).items] == ["b.jpg"]
    source = open_source(DatasetConfig(source="yolo", path=folder), folder)
    assert {root.name for root in source.roots()} == {"data.yaml", "train.txt", "images", "labels"}


def test_paths_mean_what_they_mean_to_ultralytics(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path / "y", {"train/a.jpg": BOX}, train="../images/train", path="not-there")
    assert [path.name for path in open_yolo_folder(folder).images("train")] == ["a.jpg"]


def test_ids_are_never_the_same(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path / "y", {"train/a.jpg": BOX, "train/a.png": BOX, "train/A b.jpg": BOX})
    (folder / "images/train/ä").mkdir()
    (folder / "images/train/ä/x.jpg").write_bytes(encoded(picture(5)))
    ids = [item.id for item in read(folder).items]
    assert len(set(ids)) == 4
    assert all("/" not in found and " " not in found for found in ids)


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("d/images/train/a.jpg", "d/labels/train/a.txt"),
        ("images/images/a.b.jpg", "images/labels/a.b.txt"),
        ("d/a.jpg", "d/a.txt"),
    ],
)
def test_labels_lie_where_ultralytics_looks(image: str, label: str) -> None:
    from ultralytics.data.utils import img2label_paths

    assert str(label_path(Path("/x", image))) == f"/x/{label}" == img2label_paths([f"/x/{image}"])[0]


def test_an_outline_becomes_its_box(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("1 0.25 0.5 0.5 0.25 0.75 1.0\n")
    assert read_labels(path, ("cat", "dog")) == (("dog", 0.25, 0.25, 0.5, 0.75, "polygon"),)


def test_a_class_that_has_no_name_is_an_unknown_label(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("7 0.5 0.5 0.1 0.1\n-1 0.5 0.5 0.1 0.1")
    assert [box.label for box in read_labels(path, ("cat",))] == ["class 7", "class -1"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("0 0.5 0.5 0.5", "line 2 holds 4 numbers"),
        ("cat 0.5 0.5 0.5 0.5", "line 2 holds something that is not a number"),
        ("0.5 0.5 0.5 0.5 0.5", "line 2 holds a number that does not fit"),
        ("0 nan 0.5 0.5 0.5", "line 2 holds a number that does not fit"),
        ("inf 0.5 0.5 0.5 0.5", "line 2 holds a number that does not fit"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, words: str) -> None:
    folder = yolo_folder(tmp_path / "y", {"train/a.jpg": BOX + line})
    with pytest.raises(DataError, match=rf"a\.txt, {words}"):
        read(folder)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("train: images/train\n", "no list of class names"),
        ("names: [cat]\n", "names no images"),
        ("names: [cat]\ntrain: nowhere\n", "names nowhere, which does not exist"),
        ("names: {1: cat}\ntrain: images/train\n", "no list of class names"),
        ("- a\n", "does not describe a dataset"),
        ("a: [\n", "not valid YAML"),
    ],
)
def test_a_wrong_data_yaml_is_refused(tmp_path: Path, content: str, words: str) -> None:
    folder = yolo_folder(tmp_path / "y", {"train/a.jpg": BOX})
    (folder / "data.yaml").write_text(content)
    with pytest.raises(DataError, match=words):
        read(folder)


def test_a_folder_without_data_yaml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no data\.yaml"):
        read(tmp_path)
    (tmp_path / "a.yaml").touch()
    (tmp_path / "b.yaml").touch()
    with pytest.raises(DataError, match="several YAML files"):
        read(tmp_path)
