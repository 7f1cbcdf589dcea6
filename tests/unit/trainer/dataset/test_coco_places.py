"""Which file an image record of COCO means, where several datasets and splits have files of the same names."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.exports import coco_file
from handful_core.errors import DataError
from handful_trainer.dataset.accounts import count_left_out
from handful_trainer.dataset.preparation.index import state_of
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import RawDataset
from handful_trainer.dataset.sources.registry import open_source

NAMES = [f"{number:03}.jpg" for number in range(4)]


def images(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or NAMES:
        (folder / name).write_text(str(folder))
    return folder


def boxes(left: int, *names: str) -> dict[str, list[tuple[str, int, int, int, int]]]:
    return {name: [("cat", left, 2, 30, 20)] for name in names or NAMES}


def read(path: Path, folder: Path | None = None) -> RawDataset:
    return open_source(DatasetConfig(source="coco", path=path, images=folder), path).read()


def paths(found: RawDataset) -> list[Path | None]:
    return [item.path for item in found.items]


@pytest.mark.parametrize("own", [".", "images", "data", "train", "images/train", "train2017"])
@pytest.mark.parametrize("neighbour", ["train", "images", "images/train", "."])
@pytest.mark.parametrize("whole", [True, False])
def test_images_of_a_neighbour_are_not_taken(tmp_path: Path, own: str, neighbour: str, whole: bool) -> None:
    images(tmp_path / neighbour)
    folder = images(tmp_path / "ds" / own, *NAMES[: None if whole else 1])
    file = coco_file(tmp_path / "ds/train.json", boxes(1))
    expected = [folder / name if whole or name == NAMES[0] else None for name in NAMES]
    assert paths(read(file)) == expected
    assert paths(read(tmp_path / "ds")) == expected


def test_without_images_of_its_own_a_file_takes_none(tmp_path: Path) -> None:
    images(tmp_path / "train")
    file = coco_file(tmp_path / "ds/train.json", boxes(1))
    for path in (file, file.parent):
        with pytest.raises(DataError, match=r"in none of the usual places: set dataset\.images to their folder"):
            read(path)
    assert paths(read(file, tmp_path / "train")) == [tmp_path / "train" / name for name in NAMES]


@pytest.mark.parametrize("name", ["annotations", "Annotations", "annots", "labels", "json"])
def test_above_a_folder_of_annotations_images_are_found(tmp_path: Path, name: str) -> None:
    folder = images(tmp_path / "images")
    file = coco_file(tmp_path / name / "all.json", boxes(1))
    for path in (file, file.parent, tmp_path):
        assert paths(read(path)) == [folder / name for name in NAMES]


def test_a_folder_of_any_name_inside_the_dataset_may_have_the_files(tmp_path: Path) -> None:
    folder = images(tmp_path / "images")
    coco_file(tmp_path / "what came back/all.json", boxes(1))
    assert paths(read(tmp_path)) == [folder / name for name in NAMES]


@pytest.mark.parametrize("file", ["ds/all.json", "ds/annotations/all.json"])
@pytest.mark.parametrize("second", ["data", "."])
def test_two_folders_that_fit_are_refused(tmp_path: Path, file: str, second: str) -> None:
    images(tmp_path / "ds/images")
    images(tmp_path / "ds" / second)
    path = coco_file(tmp_path / file, boxes(1))
    with pytest.raises(DataError, match=r"may be those in .* or those in .*: set dataset\.images to the folder"):
        read(path)
    assert paths(read(path, tmp_path / "ds/images")) == [tmp_path / "ds/images" / name for name in NAMES]


def test_two_folders_that_are_one_are_no_doubt(tmp_path: Path) -> None:
    images(tmp_path / "images")
    (tmp_path / "data").symlink_to(tmp_path / "images", target_is_directory=True)
    assert len(paths(read(coco_file(tmp_path / "all.json", boxes(1))))) == len(NAMES)


@pytest.mark.parametrize("above", [".", "images"])
@pytest.mark.parametrize("files", [".", "annotations", "labels"])
@pytest.mark.parametrize("folders", [("train", "val"), ("train2017", "val2017"), ("Train", "valid")])
@pytest.mark.parametrize("lost", [True, False])
def test_splits_that_count_from_one_number_keep_their_own_images(
    tmp_path: Path, above: str, files: str, folders: tuple[str, str], lost: bool
) -> None:
    expected: dict[str, list[Path | None]] = {}
    for number, (split, folder) in enumerate(zip(("train", "val"), folders, strict=True)):
        place = images(tmp_path / above / folder)
        coco_file(tmp_path / files / f"instances_{split}.json", boxes(1 + number))
        expected[split] = [place / name for name in NAMES]
    if lost:
        (tmp_path / above / folders[0] / NAMES[2]).unlink()
        expected["train"][2] = None
    given = [None, tmp_path / above] if above == "images" else [None]
    for folder_of_images in given:
        found = read(tmp_path, folder_of_images)
        for number, split in enumerate(("train", "val")):
            items = [item for item in found.items if item.split == split]
            assert [item.path for item in items] == expected[split]
            assert {box.x for item in items for box in item.boxes} == {1 + number}
        assert count_left_out(found.accounts, "image records", "of an ambiguous name") == 0
        told = f"1 listed images have no file ({NAMES[2]}): see where they lie, or set dataset.images"
        assert found.warnings == ((told,) if lost else ())


def test_a_split_without_its_folder_does_not_take_another_ones_images(tmp_path: Path) -> None:
    images(tmp_path / "val")
    coco_file(tmp_path / "train.json", boxes(1))
    coco_file(tmp_path / "val.json", boxes(2))
    with pytest.raises(DataError, match=r"the 4 images of .*train\.json .* are in none of the usual places"):
        read(tmp_path)


def test_a_name_that_says_another_splits_folder_is_followed(tmp_path: Path) -> None:
    images(tmp_path / "val2014")
    coco_file(tmp_path / "annotations/train.json", boxes(1, *[f"val2014/{name}" for name in NAMES]))
    assert paths(read(tmp_path)) == [tmp_path / "val2014" / name for name in NAMES]


@pytest.mark.parametrize("names", [("train.json", "test.json"), ("one.json", "two.json")])
def test_an_image_whose_boxes_two_files_share_out_is_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    images(tmp_path / "images")
    for number, name in enumerate(names):
        coco_file(tmp_path / name, boxes(1 + number))
    with pytest.raises(DataError, match=r"image 000\.jpg: .* has other boxes for it: name one of the files"):
        read(tmp_path)
    coco_file(tmp_path / names[0], boxes(2))
    assert {box.x for item in read(tmp_path).items for box in item.boxes} == {2}


@pytest.mark.parametrize(
    ("path", "file", "folder"),
    [
        ("ds/annotations", "ds/annotations/instances_train2017.json", "ds/train2017"),
        ("ds/annotations", "ds/annotations/all.json", "ds"),
        ("ds/annotations", "ds/annotations/all.json", "ds/images/deep"),
        ("ds/annotations/all.json", "ds/annotations/all.json", "ds/images"),
        ("ds", "ds/all.json", "ds/deep/er"),
        ("ds/all.json", "ds/all.json", "ds/deep/er"),
        ("ds", "ds/annotations/train.json", "ds/train"),
    ],
)
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("change", ["replaced", "deleted", "file"])
def test_whatever_the_result_depends_on_changes_the_state(
    tmp_path: Path, path: str, file: str, folder: str, named: bool, change: str
) -> None:
    place = images(tmp_path / folder)
    json_file = coco_file(tmp_path / file, boxes(1))
    source = open_source(DatasetConfig(source="coco", path=tmp_path / path, images=place if named else None), tmp_path)
    assert paths(source.read()) == [place / name for name in NAMES]
    before = state_of(source.roots())
    assert state_of(source.roots()) == before
    if change == "deleted":
        (place / NAMES[1]).unlink()
    else:
        (json_file if change == "file" else place / NAMES[1]).write_text(json_file.read_text() + " ")
    assert state_of(source.roots()) != before


def test_folders_in_names_say_splits(tmp_path: Path) -> None:
    for split in ("train", "val"):
        images(tmp_path / split)
    every = [f"{split}/{name}" for split in ("train", "val") for name in NAMES]
    file = coco_file(tmp_path / "annotations.json", boxes(1, *every))
    assert [item.split for item in read(file).items] == ["train"] * 4 + ["val"] * 4
    alone = coco_file(tmp_path / "other.json", boxes(1, *every[:4]))
    assert [item.split for item in read(alone).items] == [None] * 4, "one split says nothing"


@pytest.mark.parametrize("others", [("trainset", "valset"), ("cocoTrain", "cocoVal"), ("train", "dev")])
def test_files_that_look_like_splits_are_a_warning(tmp_path: Path, others: tuple[str, str]) -> None:
    for name in others:
        images(tmp_path / "images", f"{name}.jpg")
        coco_file(tmp_path / f"{name}.json", boxes(1, f"{name}.jpg"))
    (warning,) = read(tmp_path).warnings
    assert warning.startswith("the files ")
    assert warning.endswith("look like splits and are not read as such: call them train, val and test")
