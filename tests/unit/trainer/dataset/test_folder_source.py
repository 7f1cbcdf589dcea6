"""Folders of classes: what is a class, what is a split, and what is neither."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from handful_core.errors import DataError
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import RawDataset
from handful_trainer.dataset.sources.registry import open_source


def lay(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return root


def read(root: Path, **keys: Any) -> RawDataset:
    return open_source(DatasetConfig(source="folder", path=root, **keys), root).read()


def shown(found: RawDataset) -> dict[str, tuple[str, str | None]]:
    return {item.name: (item.labels[0], item.split) for item in found.items}


def left_out(found: RawDataset) -> dict[tuple[str, str], tuple[str, ...]]:
    return {
        (account.kind, reason): entry.first for account in found.accounts for reason, entry in account.left_out.items()
    }


def test_a_folder_is_a_class(tmp_path: Path) -> None:
    found = read(lay(tmp_path, "rust/a.jpg", "rust/b.PNG", "healthy/a.jpg", "notes.txt"))
    assert [(item.id, item.labels, item.split) for item in found.items] == [
        ("healthy_a", ("healthy",), None),
        ("rust_a", ("rust",), None),
        ("rust_b", ("rust",), None),
    ]
    assert found.classes == ("healthy", "rust")


@pytest.mark.parametrize(
    ("names", "split"),
    [("train", "train"), ("Train", "train"), ("VALID", "val"), ("val", "val"), ("Validation", "val"), ("TEST", "test"),
     ("Training", "train"), ("testing", "test")],
)  # fmt: skip
def test_a_folder_of_classes_may_be_a_split(tmp_path: Path, names: str, split: str) -> None:
    assert shown(read(lay(tmp_path, f"{names}/rust/a.jpg", f"{names}/ok/b.jpg"))) == {
        "a.jpg": ("rust", split),
        "b.jpg": ("ok", split),
    }


def test_an_image_without_a_suffix_is_named(tmp_path: Path) -> None:
    lay(tmp_path, "rust/1.jpg", "scab/2.jpg")
    (tmp_path / "rust" / "photo").write_bytes(b"\xff\xd8\xff\xe0")
    (tmp_path / "rust" / "LICENSE").write_text("MIT")
    found = read(tmp_path)
    (images,) = (account for account in found.accounts if account.kind == "image files")
    assert (images.found, images.used) == (3, 2)
    assert images.left_out["without a suffix"].first == ("rust/photo",)
    assert "add the suffix of its format, such as .jpg" in images.left_out["without a suffix"].hint


def test_two_folders_of_one_split_are_both_read(tmp_path: Path) -> None:
    found = read(lay(tmp_path, "val/rust/a.jpg", "valid/rust/b.jpg", "train/ok/c.jpg"))
    assert shown(found) == {"a.jpg": ("rust", "val"), "b.jpg": ("rust", "val"), "c.jpg": ("ok", "train")}


def test_images_at_the_wrong_level_are_named(tmp_path: Path) -> None:
    root = lay(
        tmp_path, "top.jpg", "train/loose.jpg", "train/rust/a.jpg", "train/ok/b.jpg", "test/1.jpg", "extra/rust/c.jpg"
    )
    found = read(root)
    assert shown(found) == {"b.jpg": ("ok", "train"), "a.jpg": ("rust", "train")}
    assert left_out(found) == {
        ("image files", "outside the folders of classes"): ("top.jpg",),
        ("image files", "in the folder of a split, and of no class"): ("test/1.jpg", "train/loose.jpg"),
        ("image files", "beside the splits"): ("extra/rust/c.jpg",),
        ("splits", "without folders of classes"): ("test",),
    }


def test_empty_folders_are_named_and_are_no_classes(tmp_path: Path) -> None:
    found = read(lay(tmp_path, "train/rust/a.jpg", "train/ok/b.jpg", "train/miner/", "val/rust/", "val/ok/c.jpg"))
    assert found.classes == ("ok", "rust")
    assert left_out(found) == {("class folders", "without images"): ("train/miner", "val/rust")}


def test_a_class_may_be_called_like_a_split(tmp_path: Path) -> None:
    found = read(lay(tmp_path, "car/a.jpg", "train/b.jpg"))
    assert shown(found) == {"a.jpg": ("car", None), "b.jpg": ("train", None)}
    assert found.warnings == (
        "train is taken for a class: it is called like a split, and holds images, not folders of classes",
    )
    inside = read(lay(tmp_path / "inside", "train/train/a.jpg", "train/car/b.jpg"))
    assert shown(inside) == {"a.jpg": ("train", "train"), "b.jpg": ("car", "train")}
    assert read(lay(tmp_path / "named", "train/b1/b.jpg", "car/a.jpg"), classes=["car", "train"]).items[1].labels == (
        "train",
    )


def test_deeper_images_are_of_their_class(tmp_path: Path) -> None:
    found = read(lay(tmp_path, "rust/a.jpg", "rust/field 1/b.jpg", "ok/c.jpg"))
    assert shown(found)["b.jpg"] == ("rust", None)
    assert found.warnings == (
        "1 images lie deeper than the folder of their class (rust/field 1/b.jpg): they count for it (1 of rust)",
    )


def test_a_list_of_classes_gives_their_order(tmp_path: Path) -> None:
    root = lay(tmp_path, "ok/a.jpg", "rust/b.jpg")
    (root / "classes.txt").write_text("\ufeffrust\r\nminer\n\nok\n", encoding="utf-8")
    assert read(root).classes == ("rust", "miner", "ok")
    (root / "classes.txt").write_text("rust\n")
    with pytest.raises(DataError, match="does not list ok"):
        read(root)
    (root / "classes.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DataError, match="is not UTF-8 text"):
        read(root)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["notes.txt"], "holds no images"),
        (["a.jpg", "b.jpg"], "the 2 images of .* lie in no folder of a class"),
        (["train/a.jpg", "test/b.jpg"], "test and train in .* hold images, and no folders of classes"),
        (["set/train/ok/a.jpg", "set/train/rust/b.jpg"], "no image lies directly in a folder of"),
        (["color/ok/a.jpg", "grey/rust/b.jpg"], "name the folder whose folders are the classes"),
        (["train/train/ok/a.jpg", "train/train/rust/b.jpg"], "no image lies directly in a folder of .*train: train"),
        (["train/plot/a.jpg", "ok/b.jpg", "rust/c.jpg"], "look like splits, but 2 images lie beside them"),
        (["train/images/a.jpg", "train/labels/a.txt"], "folders called images: these are no classes"),
    ],
)
def test_what_no_class_can_be_told_from_is_refused(tmp_path: Path, names: list[str], words: str) -> None:
    with pytest.raises(DataError, match=words):
        read(lay(tmp_path, *names))


def test_the_classes_of_a_configuration_say_which_folders_are_meant(tmp_path: Path) -> None:
    root = lay(tmp_path, "rust/day 1/a.jpg", "ok/day 1/b.jpg")
    with pytest.raises(DataError, match=r"dataset\.classes"):
        read(root)
    assert shown(read(root, classes=["ok", "rust"])) == {"a.jpg": ("rust", None), "b.jpg": ("ok", None)}
