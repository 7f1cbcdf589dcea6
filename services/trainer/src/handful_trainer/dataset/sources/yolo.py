"""A folder in YOLO's layout: data.yaml, images/, labels/."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import ACCEPTED, SPLITS, AssetIds, RawDataset, RawItem, SplitName
from handful_trainer.dataset.sources.yolo_files import YoloFolder, label_path, open_yolo_folder, read_labels


class YoloSource:
    """Reads a YOLO folder. The splits that it has are kept; an image without a label file shows nothing."""

    def __init__(self, config: DatasetConfig, home: Path) -> None:
        del home
        self._path = config.path or Path()

    def roots(self) -> tuple[Path, ...]:
        """data.yaml, and each split's images and labels."""
        folder = open_yolo_folder(self._path)
        places = [place for split in SPLITS for place in folder.splits.get(split, ())]
        # A label path is made from an image's: a file that need not exist tells the folder of the labels.
        labels = [label_path(place / "any.jpg").parent for place in places if place.is_dir()]
        listed = [image.parent for split in SPLITS for image in folder.images(split)] if _has_lists(places) else []
        lists = [label_path(parent / "any.jpg").parent for parent in listed]
        return (folder.data_yaml, *dict.fromkeys([*places, *labels, *listed, *lists]))

    def read(self) -> RawDataset:
        """All images with their boxes."""
        folder = open_yolo_folder(self._path)
        return RawDataset(tuple(read_items(folder)), classes=folder.names)


def read_items(folder: YoloFolder) -> Iterable[RawItem]:
    """The items of a YOLO folder, in the order of their ids. An image that two splits name belongs to the first."""
    splits: dict[Path, SplitName] = {}
    for split in SPLITS:
        for image in folder.images(split):
            splits.setdefault(image, split)
    ids = AssetIds()
    for image in sorted(splits):
        below = image.relative_to(folder.root) if image.is_relative_to(folder.root) else Path(*image.parts[1:])
        boxes = read_labels(label_path(image), folder.names)
        yield RawItem(ids.of(below), image, image.name, ACCEPTED, boxes, splits[image], relative=True)


def _has_lists(places: Iterable[Path]) -> bool:
    return any(not place.is_dir() for place in places)
