"""What is exported is what the house's own sources read again."""

from __future__ import annotations

from pathlib import Path

import pytest

from handful_core.errors import ConfigError, DataError
from handful_trainer.dataset.export import export
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import ACCEPTED, RawBox, RawDataset, RawItem, SplitName
from handful_trainer.dataset.sources.registry import open_source
from support.captured import draw_jpeg


def item(folder: Path, number: int, boxes: tuple[RawBox, ...] = (), *labels: str) -> RawItem:
    path = folder / f"{number}.jpg"
    path.write_bytes(draw_jpeg(number))
    return RawItem(f"reviewed-{number}", path, path.name, ACCEPTED, boxes, labels=labels)


@pytest.fixture
def hands(tmp_path: Path) -> RawDataset:
    """Of 320 x 240: two boxes, one that reaches over the edge, one in shares, nothing, and one without a file."""
    return RawDataset(
        (
            item(tmp_path, 1, (RawBox("3", 40, 30, 160, 150), RawBox("1", 0, 0, 12, 20))),
            item(tmp_path, 2, (RawBox("1", 300, 200, 90, 90), RawBox("1", 400, 0, 9, 9))),
            item(tmp_path, 3, (RawBox("3", 0.5, 0.5, 0.25, 0.5),))._replace(relative=True),
            item(tmp_path, 4),
            item(tmp_path, 5)._replace(path=None),
        )
    )


def boxes_of(source: str, path: Path) -> list[tuple[str, ...]]:
    """All boxes in whole pixels, by image."""
    raw = open_source(DatasetConfig.model_validate({"source": source, "path": path}), path).read()
    found = []
    for each in raw.items:
        width, height = (320, 240) if each.relative else (1, 1)
        found += [
            (
                each.name,
                b.label,
                *(str(round(v)) for v in (b.x * width, b.y * height, b.width * width, b.height * height)),
            )
            for b in each.boxes
        ]
    assert len(raw.items) == 4
    return sorted(found)


@pytest.mark.parametrize(("form", "source"), [("coco", "coco"), ("yolo", "yolo")])
def test_boxes_are_read_again(form: str, source: str, hands: RawDataset, tmp_path: Path) -> None:
    found = export(hands, form, tmp_path / "out")
    assert (found.images, found.labels, found.left_out) == (4, 4, 1)
    assert boxes_of(source, tmp_path / "out") == [
        ("reviewed-1.jpg", "1", "0", "0", "12", "20"),
        ("reviewed-1.jpg", "3", "40", "30", "160", "150"),
        ("reviewed-2.jpg", "1", "300", "200", "20", "40"),
        ("reviewed-3.jpg", "3", "160", "120", "80", "120"),
    ]


def test_classes_are_read_again(tmp_path: Path) -> None:
    raw = RawDataset(tuple(item(tmp_path, number, (), ["rust", "spot"][number % 2]) for number in range(4)))
    export(raw, "folder", tmp_path / "out")
    again = open_source(DatasetConfig(source="folder", path=tmp_path / "out"), tmp_path).read()
    assert sorted((i.name, *i.labels) for i in again.items) == [
        ("reviewed-0.jpg", "rust"), ("reviewed-1.jpg", "spot"), ("reviewed-2.jpg", "rust"), ("reviewed-3.jpg", "spot"),
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["coco", "yolo", "folder"])
def test_splits_are_read_again(form: str, tmp_path: Path) -> None:
    splits: list[SplitName | None] = ["train", "val", "test", "train", None]
    boxes = (RawBox("3", 40, 30, 160, 150),)
    shown = [((), ("rust",)) if form == "folder" else (boxes, ())] * len(splits)
    items = [item(tmp_path, n, found, *names)._replace(split=splits[n]) for n, (found, names) in enumerate(shown)]
    export(RawDataset(tuple(items)), form, tmp_path / "out")
    again = open_source(DatasetConfig(source=form, path=tmp_path / "out"), tmp_path).read()
    assert sorted((each.name, each.split) for each in again.items) == [
        (f"reviewed-{number}.jpg", split or "train") for number, split in enumerate(splits)
    ]
    assert all(each.boxes or each.labels for each in again.items)


def test_what_cannot_be_written_is_refused_and_nothing_is_left(hands: RawDataset, tmp_path: Path) -> None:
    leaves = RawDataset((item(tmp_path, 7, (), "rust"),))
    odd = RawDataset((item(tmp_path, 8, (), "a/b"),))
    for raw, form, line in (
        (hands, "folder", "have boxes"),
        (leaves, "coco", "no boxes"),
        (odd, "folder", "'a/b' cannot be the name"),
        (hands, "voc", "--format voc is not known"),
    ):
        with pytest.raises(ConfigError, match=line):
            export(raw, form, tmp_path / "out")
        assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").touch()
    with pytest.raises((DataError, ConfigError), match="holds something"):
        export(hands, "coco", tmp_path / "out")
    with pytest.raises(DataError, match="no image has a file"):
        export(RawDataset(hands.items[4:]), "coco", tmp_path / "new")
