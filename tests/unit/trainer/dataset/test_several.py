"""Several sources as one: each keeps what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fakes.exports import coco_file, yolo_folder
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import ACCEPTED, RawDataset, RawItem
from handful_trainer.dataset.sources.registry import open_source
from handful_trainer.dataset.sources.several import SeveralSources

BOX = "0 0.5 0.5 0.25 0.5\n"


def read(*sources: tuple[str, Path], **keys: Any) -> RawDataset:
    each = [{"source": source, "path": str(path)} for source, path in sources]
    return open_source(DatasetConfig.model_validate({"sources": each, **keys}), Path()).read()


def splits(found: RawDataset) -> list[str | None]:
    return [item.split for item in found.items]


def yolo(folder: Path) -> Path:
    path = yolo_folder(folder, {"a.jpg": BOX})
    (path / "data.yaml").unlink()
    (path / "classes.txt").write_text("cat\n")
    return path


def coco(folder: Path, name: str = "_annotations.coco.json") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.jpg").touch()
    return coco_file(folder / name, {"a.jpg": [("cat", 1, 2, 30, 20)]})


@pytest.mark.parametrize("names", [("train", "valid", "test"), ("hands-train", "hands_val2017", "Test")])
def test_sources_that_are_called_like_splits_are_these(tmp_path: Path, names: tuple[str, ...]) -> None:
    for kind, path in (("yolo", yolo), ("coco", coco)):
        found = read(*[(kind, path(tmp_path / kind / name).parent if kind == "coco" else path(tmp_path / kind / name))
                       for name in names])  # fmt: skip
        assert splits(found) == ["train", "val", "test"]


def test_instances_files_say_their_splits_as_sources_of_their_own_too(tmp_path: Path) -> None:
    files = [coco(tmp_path / split, f"instances_{split}2017.json") for split in ("train", "val")]
    assert splits(read(*[("coco", file) for file in files])) == ["train", "val"]


def test_one_split_alone_says_nothing(tmp_path: Path) -> None:
    found = read(("coco", coco(tmp_path / "train").parent), ("coco", coco(tmp_path / "more").parent))
    assert splits(found) == [None, None]


def test_a_source_with_splits_of_its_own_keeps_them(tmp_path: Path) -> None:
    own = yolo_folder(tmp_path / "test", {"train/a.jpg": BOX, "val/b.jpg": BOX})
    assert splits(read(("yolo", own), ("yolo", yolo(tmp_path / "train")))) == ["train", "val", "train"]


class Held:
    """A source that holds one item, in a folder of a name."""

    def __init__(self, folder: str, *, reviewed: bool) -> None:
        self._folder, self._reviewed = Path(folder), reviewed

    def roots(self) -> tuple[Path, ...]:
        return (self._folder,)

    def read(self) -> RawDataset:
        return RawDataset((RawItem(self._folder.name, None, "a.jpg", ACCEPTED, reviewed=self._reviewed),))


def test_reviewed_pictures_get_no_split_by_the_name_of_their_model() -> None:
    sources = [("train", Held("train", reviewed=False)), ("reviewed", Held("hands-test-reviewed", reviewed=True))]
    assert splits(SeveralSources(sources).read()) == [None, None]
    others = [("train", Held("train", reviewed=False)), ("test", Held("hands-test", reviewed=False))]
    assert splits(SeveralSources(others).read()) == ["train", "test"]
