"""What tools write that is not quite COCO: each kind is read as it is meant, or counted, or refused with a line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fakes.exports import coco_file, encoded, picture
from handful_core.errors import DataError
from handful_trainer.dataset.accounts import Account, count_left_out
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import RawBox, RawDataset
from handful_trainer.dataset.sources.registry import open_source

CAT = ("cat", 1, 2, 30, 20)
CAT_BOX = RawBox("cat", 1, 2, 30, 20)
Json = dict[str, Any]


def image(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(picture(len(path.name))))


def write(path: Path, images: list[Json], annotations: list[Json], categories: list[Json] | None = None) -> Path:
    content = {"images": images, "annotations": annotations, "categories": categories or [{"id": 1, "name": "cat"}]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def one(path: Path, file_name: str = "a.jpg", **annotation: Any) -> Path:
    """A file with one image and one annotation."""
    found = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 20], **annotation}
    return write(path, [{"id": 1, "file_name": file_name, "width": 64, "height": 48}], [found])


def read(path: Path, images: Path | None = None) -> RawDataset:
    return open_source(DatasetConfig(source="coco", path=path, images=images), path).read()


def account(found: RawDataset, kind: str) -> Account:
    return next(each for each in found.accounts if each.kind == kind)


def left(found: RawDataset, kind: str) -> Mapping[str, int]:
    return {reason: entry.number for reason, entry in account(found, kind).left_out.items()}


@pytest.mark.parametrize(
    ("listed", "meant"), [(1, "1"), ("1", 1), (1.0, "1"), ("1.0", 1), ("a-7", "a-7"), ("007", 7), (3, 3.0)]
)
def test_ids_match_where_they_mean_the_same_number(tmp_path: Path, listed: Any, meant: Any) -> None:
    image(tmp_path / "a.jpg")
    path = write(
        tmp_path / "c.json",
        [{"id": listed, "file_name": "a.jpg"}],
        [{"image_id": meant, "category_id": listed, "bbox": [1, 2, 30, 20]}],
        [{"id": meant, "name": "cat"}],
    )
    assert read(path).items[0].boxes == (CAT_BOX,)


def test_the_root_category_of_roboflow_is_dropped_unless_it_owns_something(tmp_path: Path) -> None:
    categories = [
        {"id": 0, "name": "hands", "supercategory": "none"},
        {"id": 1, "name": "left", "supercategory": "hands"},
        {"id": 2, "name": "right", "supercategory": "hands"},
    ]
    annotations = [{"image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4]}]
    for split in ("train", "valid"):
        image(tmp_path / split / f"{split}.jpg")
        images = [{"id": 1, "file_name": f"{split}.jpg"}]
        write(tmp_path / split / "_annotations.coco.json", images, annotations, categories)
    found = read(tmp_path)
    assert found.classes == ("left", "right")
    assert left(found, "categories") == {"that only group others": 2}
    annotations[0]["category_id"] = 0
    write(tmp_path / "valid" / "_annotations.coco.json", [{"id": 1, "file_name": "valid.jpg"}], annotations, categories)
    assert read(tmp_path).classes == ("hands", "left", "right")


@pytest.mark.parametrize("above", ["", "person", "animal"])
def test_other_supercategories_are_no_root(tmp_path: Path, above: str) -> None:
    image(tmp_path / "a.jpg")
    categories = [
        {"id": 1, "name": "person", "supercategory": "person"},
        {"id": 2, "name": "dog", "supercategory": above},
    ]
    annotations = [{"image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4]}]
    found = read(write(tmp_path / "c.json", [{"id": 1, "file_name": "a.jpg"}], annotations, categories))
    assert found.classes == ("person", "dog")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("a.jpg", "a.jpg"),
        ("a.jpg", "deep/er/a.jpg"),
        ("A.JPG", "a.jpg"),
        ("a", "a.jpg"),
        ("Deep/a.jpg", "deep/a.jpg"),
        ("../../media/upload/4/a.jpg", "a.jpg"),
        ("..\\..\\media\\a.jpg", "a.jpg"),
        ("C:\\photos\\a.jpg", "a.jpg"),
        ("/home/somebody/photos/a.jpg", "a.jpg"),
        ("file:///C:/photos/a.jpg", "a.jpg"),
        ("my%20photo.jpg", "my photo.jpg"),
        ("my%20photo.jpg", "my%20photo.jpg"),
        ("50%.jpg", "50%.jpg"),
        ("https://example.org/bucket/a.jpg?token=1%2F2", "a.jpg"),
        ("s3://bucket/some/a.jpg", "a.jpg"),
        ("/data/local-files/?d=photos/a%20b.jpg", "photos/a b.jpg"),
        ("what?.jpg", "what?.jpg"),
        ("Ä.jpg", "Ä.jpg"),
    ],
)
def test_a_file_is_found_by_what_another_machine_called_it(tmp_path: Path, name: str, file: str) -> None:
    image(tmp_path / "images" / file, tmp_path / "images" / "other.jpg")
    found = read(one(tmp_path / "result.json", name), tmp_path / "images")
    assert found.items[0].path == tmp_path / "images" / file
    assert (account(found, "image files").used, left(found, "image files")) == (1, {"not listed": 1})


def test_a_name_that_several_files_have_is_told_by_its_folders_or_left_out(tmp_path: Path) -> None:
    image(tmp_path / "x/cam1/a.jpg", tmp_path / "x/cam2/a.jpg", tmp_path / "x/b.jpg")
    images = [{"id": n, "file_name": name} for n, name in enumerate(("/old/CAM2/a.jpg", "/old/b.jpg", "/new/b.jpg"))]
    annotations = [{"image_id": n, "category_id": 1, "bbox": [1, 2, 30, 20]} for n in range(3)]
    path = write(tmp_path / "c.json", images, annotations)
    found = read(path, tmp_path / "x")
    assert [(item.path, item.name) for item in found.items] == [(tmp_path / "x/cam2/a.jpg", "cam2/a.jpg")]
    assert left(found, "image records") == {"of an ambiguous name": 2}
    assert left(found, "annotations") == {"of an image that is left out": 2}
    assert left(found, "image files") == {"of an ambiguous name": 1, "not listed": 1}
    write(path, [{"id": 0, "file_name": "/old/a.jpg"}, {"id": 1, "file_name": "x/b.jpg"}], annotations[:2])
    found = read(path, tmp_path / "x")
    assert [item.path for item in found.items] == [tmp_path / "x/b.jpg"]
    assert left(found, "image records") == {"of an ambiguous name": 1}


def test_where_no_image_is_found_the_line_says_where_they_were_sought(tmp_path: Path) -> None:
    image(tmp_path / "images/other.jpg")
    with pytest.raises(DataError, match=r"none of the 1 images of .*c\.json is below .*images: a\.jpg is the first"):
        read(one(tmp_path / "c.json"), tmp_path / "images")


def test_images_that_are_missing_are_warned_of(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    path = coco_file(tmp_path / "c.json", {"a.jpg": [CAT], "gone.jpg": [CAT]})
    assert read(path).warnings == (
        "1 listed images have no file (gone.jpg): see where they lie, or set dataset.images",
    )


RLE = {"size": [48, 64], "counts": [5 * 48 + 3, 10, 38, 10, 48 * 64 - (5 * 48 + 3 + 58)]}
"""Two columns of ten pixels: x 5 and 6, y 3 to 12."""


@pytest.mark.parametrize("bbox", [None, [], [0, 0, 0, 0], [5, 5, 0, 3], [9, 9, -3, 4]])
@pytest.mark.parametrize(
    ("segmentation", "box"),
    [
        (RLE, (5, 3, 2, 10)),
        ([RLE], (5, 3, 2, 10)),
        ([[10, 20, 30, 20, 30, 44]], (10, 20, 20, 24)),
        ([[10, 20, 30, 20, 30, 44], [50, 3, 51, 4, 52, 3]], (10, 3, 42, 41)),
        ([10, 20, 30, 20, 30, 44], (10, 20, 20, 24)),
        ([[[10, 20], [30, 20], [30, 44]]], (10, 20, 20, 24)),
        ([[10, 10, 50, 40]], (10, 10, 40, 30)),
    ],
)
def test_an_empty_box_becomes_the_one_around_the_outline(
    tmp_path: Path, bbox: Any, segmentation: Any, box: tuple[int, ...]
) -> None:
    image(tmp_path / "a.jpg")
    path = one(tmp_path / "c.json", bbox=bbox, segmentation=segmentation)
    assert read(path).items[0].boxes == (RawBox("cat", *map(float, box), "polygon"),)  # type: ignore[arg-type]
    crowd = one(tmp_path / "c.json", bbox=bbox, segmentation=segmentation, iscrowd=1)
    assert read(crowd).items[0].boxes[0].shape == "crowd"


@pytest.mark.parametrize("segmentation", [None, {}, [], [[]], {"size": [48, 64], "counts": [48 * 64]}])
def test_a_record_without_box_and_outline_is_counted(tmp_path: Path, segmentation: Any) -> None:
    image(tmp_path / "a.jpg")
    found = read(one(tmp_path / "c.json", bbox=None, segmentation=segmentation))
    assert left(found, "annotations") == {"without a box or an outline": 1}
    assert account(found, "annotations").left_out["without a box or an outline"].hint
    flat = read(one(tmp_path / "c.json", bbox=[5, 5, 0, 0], segmentation=segmentation))
    assert flat.items[0].boxes == (RawBox("cat", 5, 5, 0, 0),)  # It is left out later, as one without an area.


@pytest.mark.parametrize(("value", "shape"), [(None, "box"), (0, "box"), ("0", "box"), (True, "crowd"), ("1", "crowd")])
def test_iscrowd_is_read_in_the_words_of_all_tools(tmp_path: Path, value: Any, shape: str) -> None:
    image(tmp_path / "a.jpg")
    assert read(one(tmp_path / "c.json", iscrowd=value)).items[0].boxes[0].shape == shape


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        ({"bbox": "1 2 3 4"}, "bbox is not a list of four numbers"),
        ({"bbox": [1, 2, None, 4]}, "bbox is missing"),
        ({"bbox": [1, 2, float("nan"), 4]}, "bbox is not a finite number"),
        ({"bbox": {"x": 1}}, "bbox is not a list of four numbers"),
        ({"iscrowd": "perhaps"}, "iscrowd is a text, neither 0 nor 1"),
        ({"bbox": None, "segmentation": "M 1 2"}, "segmentation is a text, neither polygons nor a mask"),
        ({"bbox": None, "segmentation": [[1, 2, 3]]}, "segmentation is not a list of points"),
        ({"bbox": None, "segmentation": {"size": [48, 64]}}, "counts of its mask are neither a text nor whole numbers"),
        ({"bbox": None, "segmentation": {"size": [48], "counts": []}}, "size of its mask is not a pair"),
        ({"bbox": None, "segmentation": {"size": [0, 0], "counts": []}}, "size of its mask is not a pair"),
        (
            {"bbox": None, "segmentation": {**RLE, "size": [64, 48]}},
            "its mask is one of 48 x 64",
        ),
        (
            {"bbox": None, "segmentation": {"size": [48, 64], "counts": [9]}},
            "a mask of 64 x 48 pixels has other counts",
        ),
        ({"bbox": None, "segmentation": {"size": [48, 64], "counts": [-1, 3073]}}, "has other counts"),
        ({"bbox": None, "segmentation": {"size": [48, 64], "counts": "o"}}, "the counts of a mask break off"),
        ({"bbox": None, "segmentation": {"size": [48, 64], "counts": "ä"}}, "these are no counts of a mask"),
        ({"bbox": [0.1, 0.2, 0.5, 0.25]}, r"bbox is in shares of the image \(0.1, 0.2, 0.5, 0.25\)"),
        ({"category_id": None}, "category_id is not a whole number"),
    ],
)
def test_damaged_records_are_refused_with_their_image(tmp_path: Path, annotation: Json, words: str) -> None:
    image(tmp_path / "a.jpg")
    with pytest.raises(DataError, match=f"image a.jpg: .*({words})"):
        read(one(tmp_path / "c.json", **annotation))


def test_corners_instead_of_sizes_are_refused(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    with pytest.raises(DataError, match=r"image a\.jpg: its boxes reach out of it, and would fit as left, top, right"):
        read(one(tmp_path / "c.json", bbox=[30, 20, 60, 44]))
    assert read(one(tmp_path / "c.json", bbox=[3, 2, 60, 44])).items[0].boxes
    assert read(one(tmp_path / "c.json", bbox=[30, 20, 70, 44])).items[0].boxes  # As corners it fits no better.


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"caption": "a hand"}, "is no instances file but one with captions"),
        ({"segments_info": []}, "panoptic segments"),
    ],
)
def test_a_folder_of_other_files_is_refused_by_what_they_are(tmp_path: Path, content: Json, words: str) -> None:
    write(tmp_path / "x.json", [], [content])
    with pytest.raises(DataError, match=words):
        read(tmp_path)


def test_files_that_hold_no_instances_are_counted_by_what_they_are(tmp_path: Path) -> None:
    image(tmp_path / "images/a.jpg")
    folder = tmp_path / "annotations"
    coco_file(folder / "labels.json", {"a.jpg": [CAT]})
    (folder / "results.json").write_text('[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]')
    write(folder / "text.json", [], [{"image_id": 1, "caption": "a hand"}])
    write(folder / "panoptic.json", [], [{"image_id": 1, "segments_info": []}])
    (folder / "meta.json").write_text('{"classes": []}')
    (folder / "unlabelled.json").write_text('{"images": [], "categories": []}')
    (folder / "._labels.json").write_bytes(b"\\0")
    found = read(tmp_path)
    assert left(found, "JSON files") == {
        "left by the system": 1,
        "that are no COCO files": 1,
        "with panoptic segments": 1,
        "with a list of results": 1,
        "with captions": 1,
        "without a list of annotations": 1,
    }
    assert account(found, "JSON files").used == 1


def test_cocos_own_files_beside_its_instances_are_not_read(tmp_path: Path) -> None:
    image(tmp_path / "val2017/a.jpg")
    coco_file(tmp_path / "annotations/instances_val2017.json", {"a.jpg": [CAT]})
    (tmp_path / "annotations/captions_val2017.json").write_text("not even JSON")
    found = read(tmp_path)
    assert left(found, "JSON files") == {"beside instances files": 1}


def test_a_file_that_is_not_called_instances_is_read_beside_those(tmp_path: Path) -> None:
    image(tmp_path / "images/a.jpg", tmp_path / "images/b.jpg")
    coco_file(tmp_path / "instances_train.json", {"a.jpg": [CAT]})
    coco_file(tmp_path / "val.json", {"b.jpg": [CAT]})
    assert [(item.name, item.split) for item in read(tmp_path).items] == [("a.jpg", "train"), ("b.jpg", "val")]


def test_an_image_in_two_files_is_the_same_or_refused(tmp_path: Path) -> None:
    image(tmp_path / "images/a.jpg")
    coco_file(tmp_path / "one.json", {"a.jpg": [CAT]})
    coco_file(tmp_path / "two.json", {"a.jpg": [CAT]})
    found = read(tmp_path)
    assert [set(item.boxes) for item in found.items] == [{CAT_BOX}]
    assert left(found, "image records") == {"given twice": 1}
    coco_file(tmp_path / "two.json", {"a.jpg": [("dog", 1, 2, 3, 4)]})
    with pytest.raises(DataError, match=r"two\.json, image a\.jpg: .*one\.json has other boxes for it"):
        read(tmp_path)


def test_an_image_listed_twice_in_one_file_has_all_its_boxes(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    images = [{"id": n, "file_name": "a.jpg"} for n in (1, 2, 2)]
    annotations = [{"image_id": n, "category_id": 1, "bbox": [n, 2, 30, 20]} for n in (1, 2)]
    found = read(write(tmp_path / "c.json", images, annotations))
    assert [[box.x for box in item.boxes] for item in found.items] == [[1, 2]]
    assert left(found, "image records") == {"given twice": 2}
    images[1]["file_name"] = "b.jpg"
    with pytest.raises(DataError, match="its id 2 is used twice"):
        read(write(tmp_path / "c.json", images, annotations))


def test_a_file_without_annotations_among_others_is_warned_of(tmp_path: Path) -> None:
    image(tmp_path / "train/a.jpg", tmp_path / "test/b.jpg")
    coco_file(tmp_path / "train.json", {"a.jpg": [CAT]})
    coco_file(tmp_path / "test.json", {"b.jpg": []})
    assert read(tmp_path).warnings == ("test.json lists 1 images and no annotation: they show nothing",)


def test_a_number_of_thousands_of_digits_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text('{"images": [' + "9" * 5000 + "]}")
    with pytest.raises(DataError, match="holds a number that is too long"):
        read(tmp_path)


def test_strays_of_the_system_are_counted(tmp_path: Path) -> None:
    image(tmp_path / "images/a.jpg", tmp_path / "images/@eaDir/a.jpg/thumb.jpg", tmp_path / "images/._a.jpg")
    found = read(one(tmp_path / "c.json").parent)
    assert left(found, "image files") == {"left by the system": 2}
    assert count_left_out(found.accounts, "image files", "not listed") == 0


def test_folders_that_are_named_in_two_ways_are_walked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image(tmp_path / "set/images/a.jpg")
    one(tmp_path / "set/c.json")
    (tmp_path / "link").symlink_to(tmp_path / "set/images", target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    for images in (tmp_path / "set/images", Path("set/../set/images"), tmp_path / "link"):
        found = read(Path("set"), images)
        assert (account(found, "image files").found, account(found, "image files").used) == (1, 1)


def test_a_file_that_is_a_link_is_read_where_the_link_lies(tmp_path: Path) -> None:
    image(tmp_path / "set/a.jpg")
    (tmp_path / "set/c.json").symlink_to(one(tmp_path / "store/1f3a.json"))
    assert read(tmp_path / "set/c.json").items[0].path == tmp_path / "set/a.jpg"
