"""Tables of images and classes: columns, encodings, and rows that cannot be meant."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handful_core.errors import HandfulError
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import RawDataset
from handful_trainer.dataset.sources.registry import open_source

TABLE = "image,label\na.jpg,rust\nb.jpg,healthy\n"


def lay(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def read(
    root: Path, text: str | bytes = TABLE, images: tuple[str, ...] = ("a.jpg", "b.jpg"), **keys: Any
) -> RawDataset:
    lay(root, *images)
    (root / "labels.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return open_source(DatasetConfig(source="csv", path=root, **keys), root).read()


def labels(found: RawDataset) -> dict[str, tuple[str, ...]]:
    return {item.name: item.labels for item in found.items}


def left_out(found: RawDataset) -> dict[tuple[str, str], tuple[str, ...]]:
    return {
        (account.kind, reason): entry.first for account in found.accounts for reason, entry in account.left_out.items()
    }


EXPECTED = {"a.jpg": ("rust",), "b.jpg": ("healthy",)}


@pytest.mark.parametrize(
    "text",
    [
        TABLE,
        "\ufeff" + TABLE,
        TABLE.encode("utf-16"),
        TABLE.replace("\n", "\r\n"),
        TABLE.replace(",", ";"),
        "sep=;\r\n" + TABLE.replace(",", ";").replace("\n", "\r\n"),
        TABLE.replace(",", "\t"),
        TABLE.replace(",", "|"),
        '"image","label"\n"a.jpg","rust"\n"b.jpg","healthy"\n',
        "\n image , label \n a.jpg , rust \n,\nb.jpg,healthy,,\n\n",
        "File Name;Class Name;note\na.jpg;rust;one, or two\nb.jpg;healthy;\n",
        "image_id,species\na,rust\nb,healthy\n",
        "path,label\nimages/a.jpg,rust\nC:\\leaves\\b.jpg,healthy\n",
        "image,label\n/data/upload/3/8a7b0c1d-a.jpg,rust\nB.JPG,healthy\n",
        "id,filename,category\n7,a.jpg,rust\n8,b.jpg,healthy\n",
    ],
)
def test_tables_as_tools_write_them(tmp_path: Path, text: str | bytes) -> None:
    found = read(tmp_path, text)
    assert labels(found) == EXPECTED
    assert {item.path for item in found.items} == {tmp_path / "a.jpg", tmp_path / "b.jpg"}
    assert found.classes == ("healthy", "rust")
    assert found.warnings == ()


def test_text_of_another_encoding_is_read_with_a_warning(tmp_path: Path) -> None:
    text = "image,label\na.jpg,Blüte\nb.jpg,ok\n"
    found = read(tmp_path, text.encode("cp1252"))
    assert labels(found)["a.jpg"] == ("Blüte",)
    assert found.warnings == ("labels.csv is not UTF-8: it is read as Windows-1252, or set dataset.csv.encoding",)
    assert labels(read(tmp_path, text.encode("cp437"), csv={"encoding": "cp437"}))["a.jpg"] == ("Blüte",)


def test_columns_are_those_that_are_named(tmp_path: Path) -> None:
    text = "photo,what,class,part,plant\na.jpg,rust,1,Training,p1\nb.jpg,healthy,2,TEST,p2\n"
    keys = {"image": "Photo", "label": "what", "split": "part", "group": "plant"}
    found = read(tmp_path, text, csv=keys)
    assert labels(found) == EXPECTED
    assert [(item.split, item.group) for item in found.items] == [("train", "p1"), ("test", "p2")]
    assert left_out(found) == {("columns", "that are not read"): ("class",)}


def test_usual_columns_of_splits_and_groups_are_read(tmp_path: Path) -> None:
    found = read(tmp_path, "image,label,data set,patient_id,set\na.jpg,rust,,7,x\nb.jpg,healthy,valid,,y\n")
    assert [(item.split, item.group) for item in found.items] == [(None, "7"), ("val", "")]
    other = read(tmp_path, "image,label,set\na.jpg,rust,A\nb.jpg,healthy,B\n")
    assert [item.split for item in other.items] == [None, None]


@pytest.mark.parametrize(
    ("text", "keys", "words"),
    [
        (TABLE, {"label": "lable"}, r"no column 'lable', it has image, label: did you mean label\?"),
        (TABLE, {"image": "photo"}, "dataset.csv.image: .* has no column 'photo', it has image, label"),
        (TABLE, {"file": "other.csv"}, "other.csv does not exist"),
        ("image,severity\na.jpg,1\n", {}, "has no column of labels: it has image, severity"),
        ("what,label\na.jpg,1\n", {}, "has no column of images: it has what, label"),
        ("image,label,class\na.jpg,1,x\n", {}, "may be in label, class: set dataset.csv.label"),
        ("image,label,label\na.jpg,1,x\n", {"label": "label"}, "has 2 columns called label"),
        ("image,rust,scab\na.jpg,1,0\nb.jpg,1,1\n", {}, r"a column for each class \(rust, scab hold 0 and 1 only\)"),
        ("a.jpg,rust\nb.jpg,healthy\n", {}, "the first line of .* names no columns: a.jpg is an image"),
        ("image,label\na.jpg,rust,red\n", {}, "line 2 has 3 cells, and there are 2 columns"),
        ('image,label\na.jpg,"rust\nb.jpg,healthy\n', {}, "line 3: unexpected end of data"),
        ("", {}, "is empty"),
        (b"PK\x03\x04 and more", {}, "is an Excel workbook"),
        (b"image,label\na.jpg,\xff\0", {}, "line 2 is no text in utf-8"),
        ("image,label\nx.jpg,rust\ny.jpg,rust\n", {}, r"none of the 2 images \(x.jpg, y.jpg\) is below"),
        ("image,label,split\na.jpg,rust,train\nb.jpg,ok,holdout\n", {}, "line 3: 'holdout' is no split"),
        (
            "image,label,split\na.jpg,rust,train\na,rust,val\n",
            {},
            "line 3: the image a has the split val, and train in",
        ),
        ("image,label,group\na.jpg,rust,1\na.jpg,rust,2\n", {}, "has the group 2, and 1 in labels.csv, line 2"),
        (
            "image,label,split\na.jpg,rust,training set\nb.jpg,ok,2\n",
            {},
            r"the column split of .* holds no split: it holds 2, training set: write train, val and test, or set "
            r"dataset.split.source: ignore",
        ),
        ("image,label,label2\na.jpg,rust,scab\nb.jpg,scab,\n", {}, "may be in label, label2: set dataset.csv.label"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_place(
    tmp_path: Path, text: str | bytes, keys: dict[str, str], words: str
) -> None:
    with pytest.raises(HandfulError, match=words):
        read(tmp_path, text, csv=keys)


def test_which_of_several_tables_is_meant_has_to_be_said(tmp_path: Path) -> None:
    lay(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "train.csv").write_text(TABLE)
    (tmp_path / "sample_submission.CSV").write_text(TABLE)
    with pytest.raises(HandfulError, match=r"several tables: sample_submission\.CSV, train\.csv"):
        open_source(DatasetConfig(source="csv", path=tmp_path), tmp_path).read()
    for config in (
        DatasetConfig(source="csv", path=tmp_path, csv={"file": "train.csv"}),  # type: ignore[arg-type]
        DatasetConfig(source="csv", path=tmp_path / "train.csv"),
    ):
        assert labels(open_source(config, tmp_path).read()) == EXPECTED
        assert config.title in {tmp_path.name, "train"}
    with pytest.raises(HandfulError, match="has no table"):
        open_source(DatasetConfig(source="csv", path=lay(tmp_path / "none", "a.jpg")), tmp_path).read()


def test_rows_and_images_that_fit_together_with_none_are_named(tmp_path: Path) -> None:
    text = "image,label\na.jpg,rust\ngone.jpg,rust\nb.jpg,\n,rust\na.jpg,rust\ntwin.jpg,healthy\nd.jpg,healthy\n"
    found = read(tmp_path, text, ("a.jpg", "b.jpg", "c.jpg", "x/twin.jpg", "y/twin.jpg", "d.jpg", "._a.jpg"))
    assert [(item.name, item.labels, item.status, item.path is None) for item in found.items] == [
        ("a.jpg", ("rust",), "accepted", False),
        ("gone.jpg", ("rust",), "accepted", True),
        ("b.jpg", (), "none", False),
        ("d.jpg", ("healthy",), "accepted", False),
    ]
    assert left_out(found) == {
        ("rows", "without an image"): ("labels.csv, line 5",),
        ("rows", "given twice"): ("a.jpg",),
        ("rows", "of an ambiguous name"): ("twin.jpg",),
        ("image files", "not listed"): ("c.jpg",),
        ("image files", "of an ambiguous name"): ("twin.jpg", "twin.jpg"),
        ("image files", "left by the system"): ("._a.jpg",),
    }
    assert found.warnings == (
        "1 listed images have no file (gone.jpg): see where they lie, or set dataset.images",
        "1 listed images have no label (b.jpg): they are left out",
    )


def test_several_labels_of_an_image_are_all_kept_for_the_task_to_judge(tmp_path: Path) -> None:
    images = ("a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg")
    text = "image,label\na.jpg,rust\nb.jpg,scab\nc.jpg,rust scab\nd.jpg,rust\nd.jpg,scab\ne.jpg,rust|scab\n"
    found = read(tmp_path, text, images)
    assert labels(found) == {
        "a.jpg": ("rust",), "b.jpg": ("scab",), "c.jpg": ("rust", "scab"), "d.jpg": ("rust", "scab"),
        "e.jpg": ("rust", "scab"),
    }  # fmt: skip
    assert left_out(found) == {("rows", "that give another label to an image"): ("d.jpg (labels.csv, line 6)",)}
    studio = 'image,id,choice\na.jpg,1,rust\nb.jpg,2,"{""choices"":[""rust"",""scab""]}"\n'
    assert labels(read(tmp_path, studio))["b.jpg"] == ("rust", "scab")


@pytest.mark.parametrize("cell", ["\"['rust', 'scab']\"", '"[""rust"", ""scab""]"'])
def test_a_list_in_a_cell_is_several_labels(tmp_path: Path, cell: str) -> None:
    found = read(tmp_path, f"image,label\na.jpg,{cell}\nb.jpg,\"['rust']\"\nc.jpg,[1]\n", ("a.jpg", "b.jpg", "c.jpg"))
    assert labels(found) == {"a.jpg": ("rust", "scab"), "b.jpg": ("rust",), "c.jpg": ("[1]",)}


def test_a_class_that_looks_like_several_is_a_warning(tmp_path: Path) -> None:
    images = ("a.jpg", "b.jpg", "c.jpg")
    found = read(tmp_path, 'image,label\na.jpg,rust;scab\nb.jpg,rust\nc.jpg,"pepper, bell"\n', images)
    assert labels(found)["a.jpg"] == ("rust;scab",)
    assert found.warnings == (
        "1 images have the class 'rust;scab', which looks like several: they become a class of their own, "
        "or write the one that counts",
    )


def test_splits_of_other_words_do_not_matter_where_splits_are_ignored(tmp_path: Path) -> None:
    found = read(tmp_path, "image,label,split\na.jpg,rust,0\nb.jpg,scab,1\n", split={"source": "ignore"})
    assert [item.split for item in found.items] == [None, None]


@given(
    there=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), min_size=1, unique=True),
    rows=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), min_size=1, unique=True),
)
def test_a_row_never_gets_the_image_of_another_folder(
    there: list[tuple[str, int]], rows: list[tuple[str, int]]
) -> None:
    """Where the folders in some names lead to files, those of the others do, too, or nothing is found."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        text = "image,label\n" + "".join(f"{folder}/{number}.jpg,{folder}\n" for folder, number in [there[0], *rows])
        found = read(root, text, tuple(f"{folder}/{number}.jpg" for folder, number in there))
        assert {item.path for item in found.items if item.path} == {
            root / folder / f"{number}.jpg" for folder, number in {there[0], *rows} & set(there)
        }
        assert all(item.labels == (item.path.parent.name,) for item in found.items if item.path)


def test_images_in_another_folder_than_their_row_says_are_a_warning(tmp_path: Path) -> None:
    found = read(tmp_path, "image,label\nminer/a.jpg,miner\nold/b.jpg,rust\n", ("photos/a.jpg", "images/b.jpg"))
    assert found.warnings == (
        "1 images lie in other folders than listed (miner/a.jpg is photos/a.jpg): see whether these are the same",
    )


def test_an_image_in_the_folder_of_another_class_is_a_warning(tmp_path: Path) -> None:
    found = read(
        tmp_path, "image,label\na.jpg,miner\nb.jpg,rust\nc.jpg,rust\n", ("rust/a.jpg", "rust/b.jpg", "x/c.jpg")
    )
    assert labels(found)["a.jpg"] == ("miner",)
    assert found.warnings == (
        "1 images lie in a folder called like another class (rust/a.jpg is miner): the list's word counts",
    )


def test_a_label_of_two_words_is_one(tmp_path: Path) -> None:
    found = read(tmp_path, "image,label\na.jpg,leaf rust\nb.jpg,rust\n")
    assert labels(found) == {"a.jpg": ("leaf rust",), "b.jpg": ("rust",)}


def test_words_for_nothing_are_classes_with_a_warning(tmp_path: Path) -> None:
    found = read(tmp_path, "image,label\na.jpg,NaN\nb.jpg,rust\n")
    assert found.classes == ("NaN", "rust")
    assert found.warnings == (
        "1 rows have the label NaN, which is taken for a class: empty the cells if they have none",
    )


def test_numbered_classes_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    assert read(tmp_path, "image,label\na.jpg,10\nb.jpg,2\n").classes == ("2", "10")


def test_images_lie_in_a_folder_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "table").mkdir()
    (tmp_path / "table" / "labels.csv").write_text(TABLE)
    photos = lay(tmp_path / "photos", "x/a.jpg", "b.jpg")
    config = DatasetConfig(source="csv", path=tmp_path / "table", images=photos)
    source = open_source(config, tmp_path)
    assert {item.path for item in source.read().items} == {photos / "x" / "a.jpg", photos / "b.jpg"}
    assert source.roots() == (tmp_path / "table" / "labels.csv", photos)
