"""What tools write that is not quite Pascal VOC: each kind is read as it is meant, counted, or refused with a line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from handful_core.errors import DataError
from handful_trainer.dataset.accounts import Account, check_used
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import RawBox, RawDataset
from handful_trainer.dataset.sources.registry import open_source

CAT = RawBox("cat", 4, 5, 20, 18)
_THREE = ("train", "val", "test")


def sides(left: object = 4, top: object = 5, right: object = 24, bottom: object = 23) -> str:
    return f"<bndbox><xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox>"


def thing(shape: str = "", name: str = "cat") -> str:
    return f"<object><name>{name}</name>{shape or sides()}</object>"


def xml(path: Path, *objects: str, filename: str = "", more: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<annotation><filename>{filename}</filename>{more}{''.join(objects or [thing()])}</annotation>")
    return path


def image(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def lists(folder: Path, **content: str) -> None:
    place = folder / "ImageSets" / "Main"
    place.mkdir(parents=True, exist_ok=True)
    for name, text in content.items():
        (place / f"{name}.txt").write_text(text)


def read(folder: Path, images: Path | None = None) -> RawDataset:
    return open_source(DatasetConfig(source="voc", path=folder, images=images), folder).read()


def account(found: RawDataset, kind: str) -> Account:
    return next(each for each in found.accounts if each.kind == kind)


def left(found: RawDataset, kind: str) -> Mapping[str, int]:
    return {reason: entry.number for reason, entry in account(found, kind).left_out.items()}


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        (sides(24, 5, 4, 23), CAT),
        (sides(4, 23, 24, 5), CAT),
        (sides(24, 23, 4, 5), CAT),
        (sides("4.0", " 5.0 ", "2.4e1", "23.0"), CAT),
        ("<polygon><pt><x>4</x><y>5</y></pt><pt><x>24</x><y>23</y></pt></polygon>", CAT._replace(shape="polygon")),
        (sides() + "<part><name>head</name>" + sides(1, 1, 2, 2) + "</part>", CAT),
    ],
)
def test_a_box_is_read_however_it_is_written(tmp_path: Path, shape: str, box: RawBox) -> None:
    xml(tmp_path / "a.xml", thing(shape))
    image(tmp_path / "a.jpg")
    found = read(tmp_path)
    assert found.items[0].boxes == (box,)
    swapped = shape in {sides(24, 5, 4, 23), sides(4, 23, 24, 5), sides(24, 23, 4, 5)}
    told = "1 boxes had their sides the wrong way round and were turned (a.xml)"
    assert found.warnings == ((told,) if swapped else ())


def test_all_boxes_of_an_object_are_read_and_deleted_objects_counted(tmp_path: Path) -> None:
    xml(tmp_path / "a.xml", thing(sides() + sides(1, 1, 3, 3)), "<object><name>x</name><deleted>1</deleted></object>")
    image(tmp_path / "a.jpg")
    found = read(tmp_path)
    assert found.items[0].boxes == (CAT, RawBox("cat", 1, 1, 2, 2))
    assert (account(found, "objects").used, left(found, "objects")) == (2, {"marked as deleted": 1})


@pytest.mark.parametrize(
    ("old", "new"), [("object>", "Object>"), ("bndbox>", "BndBox>"), ("<annotation>", '<annotation xmlns="urn:x">')]
)
def test_tags_in_capitals_or_of_a_namespace_are_read(tmp_path: Path, old: str, new: str) -> None:
    path = xml(tmp_path / "a.xml")
    path.write_text(path.read_text().replace(old, new))
    image(tmp_path / "a.jpg")
    assert read(tmp_path).items[0].boxes == (CAT,)


def test_shares_of_the_image_are_refused(tmp_path: Path) -> None:
    xml(tmp_path / "a.xml", thing(sides(0.25, 0.5, 0.75, 1)))
    image(tmp_path / "a.jpg")
    with pytest.raises(
        DataError, match=r"a\.xml: the sides of a box are shares of the image \(0\.25, 0\.5, 0\.75, 1\)"
    ):
        read(tmp_path)


def test_objects_below_another_element_are_read(tmp_path: Path) -> None:
    xml(tmp_path / "a.xml", f"<objects>{thing()}</objects>")
    image(tmp_path / "a.jpg")
    assert read(tmp_path).items[0].boxes == (CAT,)


@pytest.mark.parametrize(
    "size", ["<size/>", "<size><width>0</width><height>0</height></size>", "<size><width>a</width></size>"]
)
def test_a_size_that_says_nothing_is_none(tmp_path: Path, size: str) -> None:
    xml(tmp_path / "a.xml", more=size)
    image(tmp_path / "a.jpg")
    assert read(tmp_path).items[0].size is None


@pytest.mark.parametrize(
    ("file", "filename", "picture"),
    [
        ("Annotations/a.xml", "a.jpg", "JPEGImages/a.jpg"),
        ("Annotations/a.XML", "a", "JPEGImages/a.Jpg"),
        ("annotations/a.xml", "", "Images/A.JPG"),
        ("Annotations/a.jpg.xml", "", "images/a.jpg"),
        ("Annotations/1.xml", "C:\\photos\\a.jpg", "JPEGImages/a.jpg"),
        ("Annotations/train/a.xml", "", "JPEGImages/train/a.jpg"),
        ("Annotations/train/a.xml", "", "JPEGImages/a.jpg"),
        ("Annotations/a.xml", "", "JPEGImages/2007/a.jpg"),
        ("VOC2007/Annotations/a.xml", "", "VOC2007/JPEGImages/a.jpg"),
        ("Train/Annotations/a.xml", "", "Train/images/a.jpg"),
        ("x/a b.xml", "", "x/a b.png"),
    ],
)
def test_the_image_of_a_file_is_found(tmp_path: Path, file: str, filename: str, picture: str) -> None:
    xml(tmp_path / file, filename=filename)
    image(tmp_path / picture)
    found = read(tmp_path)
    assert found.items[0].path == tmp_path / picture
    assert account(found, "image files").used == 1
    assert found.warnings == ()


@pytest.mark.parametrize("there", [True, False])
def test_the_image_of_a_files_own_name_wins_with_a_warning(tmp_path: Path, there: bool) -> None:
    xml(tmp_path / "Annotations/a.xml", filename="b.jpg")
    image(tmp_path / "JPEGImages/a.jpg", *([tmp_path / "JPEGImages/b.jpg"] if there else []))
    found = read(tmp_path)
    assert found.items[0].path == tmp_path / "JPEGImages/a.jpg"
    assert found.warnings == (
        "1 XML files name another image than the one of their own name, which is taken (a.xml names b.jpg)",
    )


def test_of_two_images_of_one_name_the_filename_tells_or_both_are_left_out(tmp_path: Path) -> None:
    image(tmp_path / "JPEGImages/a.jpg", tmp_path / "JPEGImages/a.png")
    xml(tmp_path / "Annotations/a.xml", filename="a.png")
    found = read(tmp_path)
    assert [item.path for item in found.items] == [tmp_path / "JPEGImages/a.png"]
    assert left(found, "image files") == {"not listed": 1}
    xml(tmp_path / "Annotations/a.xml")
    found = read(tmp_path)
    assert found.items == ()
    assert left(found, "XML files") == {"of an ambiguous name": 1}
    assert left(found, "objects") == {"of an image that is left out": 1}
    assert left(found, "image files") == {"of an ambiguous name": 2}


def test_of_two_images_that_differ_in_case_the_filename_tells(tmp_path: Path) -> None:
    image(tmp_path / "JPEGImages/a.jpg", tmp_path / "JPEGImages/a.JPG")
    xml(tmp_path / "Annotations/a.xml", filename="a.jpg")
    assert [item.path for item in read(tmp_path).items] == [tmp_path / "JPEGImages/a.jpg"]


def test_an_image_of_another_split_is_not_taken(tmp_path: Path) -> None:
    xml(tmp_path / "Train/Annotations/a.xml")
    image(tmp_path / "Val/JPEGImages/a.jpg")
    found = read(tmp_path)
    assert found.items[0].path is None
    assert found.warnings == ("1 images have no file (a.xml): see where they lie, or set dataset.images",)
    hint = account(found, "image files").left_out["not listed"].hint
    assert hint == "it has an XML file, which lies elsewhere: set dataset.images to its folder"


@pytest.mark.parametrize("split", ["Train", "VALID", "test", "Validation"])
def test_folders_named_after_splits_in_any_case_say_them(tmp_path: Path, split: str) -> None:
    xml(tmp_path / split / "a.xml")
    image(tmp_path / split / "a.jpg")
    meant = {"Train": "train", "VALID": "val", "test": "test", "Validation": "val"}[split]
    assert read(tmp_path).items[0].split == meant


@pytest.mark.parametrize(
    "line",
    ["my hand 1", "my hand 1 1", "my hand 1  -1", "MY HAND 1", "my hand 1.jpg", "JPEGImages/my hand 1.jpg",
     "x\\my hand 1", "C:\\set\\my hand 1.jpg", "./JPEGImages/my hand 1.jpg", "my hand 1.xml"],
)  # fmt: skip
def test_a_line_of_a_list_is_understood(tmp_path: Path, line: str) -> None:
    for name in ("my hand 1", "my hand", "other"):
        xml(tmp_path / "Annotations" / f"{name}.xml")
        image(tmp_path / "JPEGImages" / f"{name}.jpg")
    lists(tmp_path, test=f"\ufeff{line}\n\n", train="other\n")
    found = read(tmp_path)
    assert {item.name: item.split for item in found.items} == {
        "my hand.jpg": None,
        "my hand 1.jpg": "test",
        "other.jpg": "train",
    }
    assert found.warnings == ("1 XML files are in no list of ImageSets (my hand.xml): they are shared out",)


def test_pairs_of_paths_are_understood(tmp_path: Path) -> None:
    xml(tmp_path / "Annotations/a.xml")
    image(tmp_path / "JPEGImages/a.jpg")
    (tmp_path / "val.txt").write_text("JPEGImages/a.jpg Annotations/a.xml\n")
    assert read(tmp_path).items[0].split == "val"


@pytest.mark.parametrize(
    ("content", "splits", "left_out"),
    [
        ({"train": "a", "val": "b", "test": "c", "trainval": "a\nb"}, _THREE, {"that join two splits": 1}),
        ({"trainval": "a\nb", "test": "c"}, ("train", "train", "test"), {}),
        ({"train": "a", "trainval": "a\nb", "test": "c"}, ("train", "val", "test"), {}),
        ({"val": "a", "trainval": "a\nb", "test": "c"}, ("val", "train", "test"), {}),
        ({"Train": "a", "Valid": "b", "TEST": "c"}, ("train", "val", "test"), {}),
        ({"train": "a", "val": "b", "test": "c", "cat_train": "a 1\nb -1"}, _THREE, {"that say no split": 1}),
        ({"default": "a\nb\nc"}, (None, None, None), {"that say no split": 1}),
        ({"batch7": "a\nb\nc"}, (None, None, None), {"of an unknown name": 1}),
    ],
)  # fmt: skip
def test_lists_say_splits(
    tmp_path: Path, content: dict[str, str], splits: tuple[str | None, ...], left_out: dict[str, int]
) -> None:
    for name in "abc":
        xml(tmp_path / "Annotations" / f"{name}.xml")
        image(tmp_path / "JPEGImages" / f"{name}.jpg")
    lists(tmp_path, **content)
    found = read(tmp_path)
    assert tuple(item.split for item in found.items) == splits
    assert left(found, "list files") == left_out
    check_used(found.accounts)  # A list that says no split refuses nothing.


def test_a_list_of_a_split_in_another_folder_is_named(tmp_path: Path) -> None:
    image(tmp_path / "JPEGImages/a.jpg")
    xml(tmp_path / "Annotations/a.xml")
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits/train.txt").write_text("a\n")
    found = read(tmp_path)
    assert left(found, "list files") == {"outside ImageSets": 1}
    check_used(found.accounts)


def test_lines_that_say_nothing_are_counted(tmp_path: Path) -> None:
    for name in "ab":
        xml(tmp_path / "Annotations" / f"{name}.xml")
        image(tmp_path / "JPEGImages" / f"{name}.jpg")
    lists(tmp_path, train="a\na\ngone", val="a\nb")
    found = read(tmp_path)
    assert left(found, "list lines") == {"given twice": 1, "that name no XML file": 1, "that another list has": 1}
    assert [item.split for item in found.items] == ["train", "val"]
    lists(tmp_path, test="x\ny")
    with pytest.raises(DataError, match=r"none of the 2 lines of .*test\.txt names an XML file: 'x' is the first"):
        read(tmp_path)


def test_two_years_of_a_devkit_keep_their_lists(tmp_path: Path) -> None:
    for year, split in (("VOC2007", "train"), ("VOC2012", "test")):
        xml(tmp_path / year / "Annotations/000001.xml")
        image(tmp_path / year / "JPEGImages/000001.jpg")
        lists(tmp_path / year, **{split: "000001"})
    assert [(item.id, item.split) for item in read(tmp_path).items] == [
        ("VOC2007_000001", "train"),
        ("VOC2012_000001", "test"),
    ]


def test_masks_droppings_and_strange_xml_files_are_counted(tmp_path: Path) -> None:
    xml(tmp_path / "Annotations/a.xml")
    image(tmp_path / "JPEGImages/a.jpg", tmp_path / "SegmentationClass/a.png", tmp_path / "JPEGImages/._a.jpg")
    image(tmp_path / "Annotations/._a.xml", tmp_path / "JPEGImages/Thumbs.db")
    (tmp_path / "settings.xml").write_text("<settings/>")
    found = read(tmp_path)
    assert left(found, "XML files") == {"left by the system": 1, "outside Annotations": 1}
    assert left(found, "image files") == {"left by the system": 1, "that are masks of segments": 1}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_doctype_is_refused_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    path = xml(tmp_path / "a.xml")
    text = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>'
    path.write_bytes(text.encode(encoding))
    with pytest.raises(DataError, match="has a DOCTYPE or defines entities"):
        read(tmp_path)


def _numbered(folder: Path, suffix: str, *, without: str = "") -> None:
    for number in range(4):
        path = folder / f"{number:03}{suffix}"
        if path.name != without:
            (xml if suffix == ".xml" else image)(path)


@pytest.mark.parametrize(
    ("first", "second"),
    [("train", "val"), ("Train", "Valid"), ("train2017", "val2017"), ("cam1", "cam2"), ("x/train", "x/val")],
)
@pytest.mark.parametrize("below", ["", "Annotations"])
@pytest.mark.parametrize("both", [True, False])
def test_an_image_of_a_contradicting_folder_is_not_taken(
    tmp_path: Path, first: str, second: str, below: str, both: bool
) -> None:
    for folder in (first, second):
        _numbered(tmp_path / "img" / folder, ".jpg", without="003.jpg" if folder == first else "")
    for folder in (first, second) if both else (first,):
        _numbered(tmp_path / "ds" / below / folder, ".xml")
    found = read(tmp_path / "ds", tmp_path / "img")
    names = [f"{number:03}.jpg" for number in range(4)]
    own: list[Path | None] = [tmp_path / "img" / first / name for name in names]
    own[3] = None
    others = [tmp_path / "img" / second / name for name in names] if both else []
    assert [item.path for item in found.items] == [*own, *others]
    assert found.warnings == ("1 images have no file (003.xml): see where they lie, or set dataset.images",)
    assert left(found, "image files") == ({} if both else {"not listed": 4})


@pytest.mark.parametrize("images", [".", "photos", "2007", "deep/er"])
@pytest.mark.parametrize("folder", ["train", "Annotations", "batch1/Annotations"])
def test_folders_that_contradict_nothing_are_no_hindrance(tmp_path: Path, images: str, folder: str) -> None:
    xml(tmp_path / "ds" / folder / "a.xml")
    image(tmp_path / "img" / images / "a.jpg")
    assert read(tmp_path / "ds", tmp_path / "img").items[0].path == tmp_path / "img" / images / "a.jpg"


@pytest.mark.parametrize(
    ("folder", "split"),
    [("train2017", "train"), ("val_2017", "val"), ("Test2007", "test"), ("training", "train"), ("testing", "test"),
     ("Validate", "val"), ("trainer", None), ("latest", None), ("VOC2012", None), ("2017", None)],
)  # fmt: skip
def test_a_year_behind_a_folders_or_a_lists_name_is_passed_over(tmp_path: Path, folder: str, split: str | None) -> None:
    xml(tmp_path / "one" / folder / "a.xml")
    image(tmp_path / "one" / folder / "a.jpg")
    assert [item.split for item in read(tmp_path / "one").items] == [split]
    xml(tmp_path / "two/Annotations/a.xml")
    image(tmp_path / "two/JPEGImages/a.jpg")
    lists(tmp_path / "two", **{folder: "a"}, **{f"cat_{folder}": "a 1"})
    found = read(tmp_path / "two")
    assert [item.split for item in found.items] == [split]
    assert left(found, "list files") == ({"that say no split": 1} if split else {"of an unknown name": 2})


def test_lists_of_two_years_are_both_read(tmp_path: Path) -> None:
    for name in "abc":
        xml(tmp_path / "Annotations" / f"{name}.xml")
        image(tmp_path / "JPEGImages" / f"{name}.jpg")
    lists(tmp_path, train2007="a", train2012="b", trainval2012="b\nc", val2012="c")
    found = read(tmp_path)
    assert [item.split for item in found.items] == ["train", "train", "val"]
    assert left(found, "list files") == {"that join two splits": 1}
