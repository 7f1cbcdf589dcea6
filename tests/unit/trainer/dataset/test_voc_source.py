from __future__ import annotations

from pathlib import Path

import pytest

from fakes.exports import encoded, picture
from handful_core.errors import DataError
from handful_trainer.dataset.accounts import count_left_out
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import RawBox, RawDataset
from handful_trainer.dataset.sources.registry import open_source

BOX = "<bndbox><xmin>4</xmin><ymin>5.5</ymin><xmax>24</xmax><ymax>23</ymax></bndbox>"


def thing(name: str = "cat", shape: str = BOX) -> str:
    return f"<object><name>{name}</name>{shape}</object>"


def write(folder: Path, name: str, *objects: str, image: str | None = None, images: str = "JPEGImages") -> Path:
    """An XML file and its image."""
    image = f"{name}.jpg" if image is None else image
    for place in (folder / "Annotations", folder / images):
        place.mkdir(parents=True, exist_ok=True)
    size = "<size><width>64</width><height>48</height><depth>3</depth></size>"
    path = folder / "Annotations" / f"{name}.xml"
    path.write_text(f"<annotation><filename>{image}</filename>{size}{''.join(objects)}</annotation>")
    (folder / images / f"{name}.jpg").write_bytes(encoded(picture(1)))
    return path


def read(folder: Path, **settings: object) -> RawDataset:
    return open_source(DatasetConfig.model_validate({"source": "voc", "path": folder, **settings}), folder).read()


def test_boxes_polygons_and_nothing(tmp_path: Path) -> None:
    polygon = "<polygon><x1>3</x1><y1>9</y1><x2>10</x2><y2>4</y2><x3>7</x3><y3>20</y3></polygon>"
    write(tmp_path, "a", thing(), thing("dog", polygon))
    write(tmp_path, "b")
    (tmp_path / "JPEGImages" / "unlabelled.jpg").touch()
    found = read(tmp_path)
    first, second = found.items
    assert first.boxes == (RawBox("cat", 4, 5.5, 20, 17.5), RawBox("dog", 3, 4, 7, 16, "polygon"))
    assert (first.id, first.name, first.size, first.status) == ("a", "a.jpg", (64, 48), "accepted")
    assert (second.boxes, second.status) == ((), "accepted")
    assert count_left_out(found.accounts, "image files", "not listed") == 1


def test_splits_come_from_lists_or_folders(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write(tmp_path, name, thing())
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a  1\n\n")
    (lists / "val.txt").write_text("b\n")
    assert [item.split for item in read(tmp_path).items] == ["train", "val", None]
    beside = tmp_path / "beside"
    for split in ("train", "valid"):
        write(beside / split, split, thing(), images="")
        (beside / split / "Annotations" / f"{split}.xml").rename(beside / split / f"{split}.xml")
    assert [(item.split, item.path) for item in read(beside).items] == [
        ("train", beside / "train" / "train.jpg"),
        ("val", beside / "valid" / "valid.jpg"),
    ]


def test_images_are_found_by_name_or_beside(tmp_path: Path) -> None:
    write(tmp_path, "a", thing(), image="C:\\photos\\a.jpg")
    write(tmp_path, "b", thing(), image="never there.jpg")
    assert [item.path for item in read(tmp_path).items] == [tmp_path / "JPEGImages" / f"{n}.jpg" for n in "ab"]
    (tmp_path / "JPEGImages").rename(tmp_path / "elsewhere")
    assert [item.path for item in read(tmp_path).items] == [None, None]
    elsewhere = read(tmp_path, images=tmp_path / "elsewhere")
    assert all(item.path for item in elsewhere.items)


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        (thing(""), "object 1: name is empty"),
        (thing() + thing("cat", ""), "object 2: it has neither bndbox nor polygon"),
        (thing("cat", "<bndbox><xmin>1</xmin></bndbox>"), "object 1: ymin is missing"),
        (thing("cat", BOX.replace("24", "wide")), "object 1: xmax is 'wide', no number"),
        (thing("cat", BOX.replace("24", "inf")), "object 1: xmax is 'inf', no number"),
        (thing("cat", "<polygon><x1>3</x1><y2>9</y2></polygon>"), "its polygon has no point 1"),
        ("<object>", "is not valid XML"),
    ],
)
def test_a_wrong_file_is_refused_with_the_object(tmp_path: Path, objects: str, words: str) -> None:
    path = write(tmp_path, "a", objects)
    with pytest.raises(DataError, match=words) as refused:
        read(tmp_path)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not valid XML"),
        (b"<html></html>", "holds <html>"),
        (b'<!DOCTYPE x [<!ENTITY a "aaaa">]><annotation>&a;</annotation>', "defines entities"),
        (b"<?xml version='1.0' encoding='klingon'?><annotation/>", "is not valid XML"),
        (b"<annotation><filename>..</filename></annotation>", "filename '..' is no name"),
    ],
)
def test_what_is_no_voc_file_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    write(tmp_path, "a").write_bytes(content)
    with pytest.raises(DataError, match=words):
        read(tmp_path)


def test_one_image_is_described_once(tmp_path: Path) -> None:
    write(tmp_path, "a", thing())
    write(tmp_path, "b", thing(), image="a.jpg")
    (tmp_path / "JPEGImages" / "b.jpg").unlink()  # An image of its own name would win.
    with pytest.raises(DataError, match=r"b\.xml describes a\.jpg, as .*a\.xml does"):
        read(tmp_path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no XML files"):
        read(tmp_path)
    with pytest.raises(DataError, match=r"nowhere does not exist: correct dataset\.path"):
        read(tmp_path / "nowhere")
