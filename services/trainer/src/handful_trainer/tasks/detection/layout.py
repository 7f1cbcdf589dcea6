"""YOLO's layout on disk: data.yaml, images/SPLIT, labels/SPLIT. Ultralytics reads it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from handful_core.vision.decode import read_header
from handful_trainer.dataset.errors import DamagedFileError
from handful_trainer.dataset.preparation.assets import Asset
from handful_trainer.dataset.sources.base import SPLITS, SplitName
from handful_trainer.dataset.sources.yolo.folder import CACHE_SUFFIXES, open_yolo_folder
from handful_trainer.dataset.sources.yolo.label_files import label_path
from handful_trainer.dataset.sources.yolo.labels import read_labels
from handful_trainer.tasks.detection.labels import Box, LabelEntry
from handful_trainer.tasks.label_format import OpenedFolder

DATA_YAML = "data.yaml"

BoxTruth = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Boxes (n, 4) as left, top, right, bottom in pixels of the upright image, and their class ids (n,)."""


def entry_of(asset: Asset) -> LabelEntry:
    """The label file of an asset."""
    boxes = tuple(box for box in asset.kept if isinstance(box, Box))
    return LabelEntry(f"labels/{asset.split}/{asset.item.id}.txt", asset.facts.width, asset.facts.height, boxes)


def write_data_yaml(folder: Path, classes: Sequence[str]) -> None:
    """Write data.yaml. Without `path`, Ultralytics takes the splits from its folder: it may be moved."""
    description = {split: f"images/{split}" for split in SPLITS} | {"names": dict(enumerate(classes))}
    (folder / DATA_YAML).write_text(yaml.safe_dump(description, sort_keys=False, allow_unicode=True), encoding="utf-8")


def open_folder(path: Path) -> OpenedFolder:
    """Read what data.yaml says.

    Args:
        path: the file, or the folder that holds it.

    Raises:
        DataError: it is not there or damaged.
    """
    folder = open_yolo_folder(path)
    description = folder.description.resolve()
    return OpenedFolder(description.parent, description, folder.names)


def count_images(folder: OpenedFolder) -> dict[str, int]:
    """Images of each split that it has."""
    opened = open_yolo_folder(folder.description)
    sizes: dict[str, int] = {split: len(opened.images(split)) for split in opened.splits}
    return {split: images for split, images in sizes.items() if images}


def read_split(data_yaml: Path, split: SplitName) -> Iterator[tuple[Path, BoxTruth]]:
    """The images of a split with their boxes, in the order of their names.

    Raises:
        DataError: a label file or an image is damaged.
    """
    folder = open_yolo_folder(data_yaml)
    for image in folder.images(split):
        path = label_path(image)
        raw = read_labels(path, folder.names)
        if unknown := next((box.label for box in raw if box.label not in folder.names), None):
            raise DamagedFileError(f"{path} has the {unknown}, which data.yaml does not name", "prepare it again")
        header = read_header(image.read_bytes())
        ids = np.asarray([folder.names.index(box.label) for box in raw], np.int64)
        corners = [(b.x, b.y, b.x + b.width, b.y + b.height) for b in raw]
        scale = np.asarray([header.width, header.height] * 2, np.float64)
        boxes = np.asarray(corners, np.float64).reshape(-1, 4) * scale
        yield image, (np.clip(boxes, 0, scale).astype(np.float32), ids)


def is_whole(root: Path, splits: Mapping[str, int]) -> bool:
    """Are all images and label files still there?"""
    return all(
        _files_in(root / kind / split) >= images for split, images in splits.items() for kind in ("images", "labels")
    )


def _files_in(folder: Path) -> int:
    """How many files there are; only for links the disk is asked for more than their names."""
    try:
        with os.scandir(folder) as entries:
            return sum(entry.is_file() for entry in entries if not entry.name.endswith(CACHE_SUFFIXES))
    except OSError:
        return 0
