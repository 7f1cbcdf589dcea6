"""Whatever file a result depends on, changing or removing it changes the state of the source's roots."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.exports import twelve, yolo_folder
from handful_trainer.dataset.preparation.index import state_of
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import Source
from handful_trainer.dataset.sources.registry import open_source


def voc(folder: Path, *, elsewhere: bool) -> Source:
    images = folder.parent / "photos" if elsewhere else folder / "JPEGImages"
    for path in (folder / "Annotations", folder / "ImageSets/Main", images / "deep"):
        path.mkdir(parents=True)
    (folder / "Annotations/a.xml").write_text("<annotation/>")
    (folder / "ImageSets/Main/train.txt").write_text("a")
    (images / "deep/a.jpg").touch()
    return open_source(DatasetConfig(source="voc", path=folder, images=images if elsewhere else None), folder)


def picsellia(folder: Path) -> Source:
    twelve(folder)
    (folder / "source.json").write_text('{"labels": ["cat", "dog"]}')
    return open_source(DatasetConfig(source="picsellia-export", path=folder), folder)


def yolo(folder: Path) -> Source:
    yolo_folder(folder, {"train/a.jpg": "0 0.5 0.5 0.5 0.5\n", "val/b.jpg": ""})
    return open_source(DatasetConfig(source="yolo", path=folder), folder)


def classes(folder: Path) -> Source:
    (folder / "train/rust").mkdir(parents=True)
    (folder / "train/rust/a.jpg").touch()
    (folder / "classes.txt").write_text("rust")
    return open_source(DatasetConfig(source="folder", path=folder), folder)


def table(folder: Path) -> Source:
    photos = folder.parent / "photos"
    for place in (folder, photos):
        place.mkdir(parents=True)
    (photos / "a.jpg").touch()
    (folder / "labels.csv").write_text("image,label\na,rust\n")
    return open_source(DatasetConfig(source="csv", path=folder, images=photos), folder)


def label_studio(folder: Path) -> Source:
    folder.mkdir(parents=True)
    (folder / "a.jpg").touch()
    (folder / "tasks.json").write_text('[{"image": "a.jpg", "choice": "rust"}]')
    return open_source(DatasetConfig(source="label-studio", path=folder), folder)


_NEEDED = {"assets.json", "annotations.json", "data.yaml", "labels.csv", "tasks.json"}
"""Without one of these there is no dataset."""
_MADE = {"picsellia": picsellia, "yolo": yolo, "folder": classes, "csv": table, "label-studio": label_studio}


def opened(name: str, folder: Path) -> Source:
    return _MADE[name](folder) if name in _MADE else voc(folder, elsewhere=name == "voc elsewhere")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("voc", "ds/Annotations/a.xml"),
        ("voc", "ds/ImageSets/Main/train.txt"),
        ("voc", "ds/JPEGImages/deep/a.jpg"),
        ("voc elsewhere", "ds/Annotations/a.xml"),
        ("voc elsewhere", "photos/deep/a.jpg"),
        ("picsellia", "ds/assets.json"),
        ("picsellia", "ds/annotations.json"),
        ("picsellia", "ds/source.json"),
        ("picsellia", "ds/assets/asset-03.jpg"),
        ("yolo", "ds/data.yaml"),
        ("yolo", "ds/images/train/a.jpg"),
        ("yolo", "ds/labels/train/a.txt"),
        ("yolo", "ds/images/val/b.jpg"),
        ("folder", "ds/train/rust/a.jpg"),
        ("folder", "ds/classes.txt"),
        ("csv", "ds/labels.csv"),
        ("csv", "photos/a.jpg"),
        ("label-studio", "ds/tasks.json"),
        ("label-studio", "ds/a.jpg"),
    ],
)
def test_a_change_is_seen(tmp_path: Path, name: str, file: str) -> None:
    source, path = opened(name, tmp_path / "ds"), tmp_path / file
    assert source.read().items
    before = state_of(source.roots())
    path.write_bytes(path.read_bytes() + b" ")
    changed = state_of(source.roots())
    assert changed != before
    if path.name not in _NEEDED:
        path.unlink()
        assert state_of(source.roots()) not in (before, changed)
