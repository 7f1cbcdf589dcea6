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


def opened(name: str, folder: Path) -> Source:
    return (
        {"picsellia": picsellia, "yolo": yolo}[name](folder)
        if name in {"picsellia", "yolo"}
        else voc(folder, elsewhere=name == "voc elsewhere")
    )


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
    ],
)
def test_a_change_is_seen(tmp_path: Path, name: str, file: str) -> None:
    source, path = opened(name, tmp_path / "ds"), tmp_path / file
    assert source.read().items
    before = state_of(source.roots())
    path.write_bytes(path.read_bytes() + b" ")
    changed = state_of(source.roots())
    assert changed != before
    if path.name not in {"assets.json", "annotations.json", "data.yaml"}:  # Without one of these there is no dataset.
        path.unlink()
        assert state_of(source.roots()) not in (before, changed)
