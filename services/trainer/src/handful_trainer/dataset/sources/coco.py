"""COCO: JSON files of images, annotations and categories, with the images beside them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from handful_trainer.dataset.errors import MissingSourceError
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.asset_ids import AssetIds
from handful_trainer.dataset.sources.base import SPLIT_WORDS, RawDataset, RawItem, SplitName
from handful_trainer.dataset.sources.coco_file import InstancesFile

_LOOKED_FOR = 50


class CocoSource:
    """Reads one instances file, or all of a folder; files named by a split (instances_val2017.json) keep it."""

    def __init__(self, config: DatasetConfig, home: Path) -> None:
        del home
        self._path = config.path or Path()
        self._images = config.images

    def roots(self) -> tuple[Path, ...]:
        """The JSON files and the folder that holds the images."""
        files = self._files()
        if self._images or self._path.is_dir():
            return (*files, self._images or self._path)
        names = list(InstancesFile(files[0]).file_names())
        folder = _folder_of(files[0], names, None)
        return (*files, *dict.fromkeys((folder / name).parent for name in names))

    def read(self) -> RawDataset:
        """All images with their boxes."""
        files = self._files()
        ids, items, names, strays = AssetIds(), list[RawItem](), dict[str, None](), 0
        for file in files:
            reader = InstancesFile(file)
            names |= dict.fromkeys(reader.categories.values())
            split = _split_of(file.relative_to(self._path)) if len(files) > 1 else None
            folder = self._images or _folder_of(file, list(reader.file_names()), split)
            items += reader.items(folder, ids, split)
            strays += reader.strays
        return RawDataset(tuple(items), classes=tuple(names), annotations_without_asset=strays)

    def _files(self) -> list[Path]:
        if self._path.is_file():
            return [self._path]
        if not self._path.is_dir():
            raise MissingSourceError(f"{self._path} does not exist", "correct dataset.path")
        patterns = ("*.json", "annotations/*.json", "*/_annotations.coco.json")
        found = sorted(path for pattern in patterns for path in self._path.glob(pattern))
        chosen = [path for path in found if path.name.startswith("instances")] or found
        if not chosen:
            raise MissingSourceError(f"{self._path} has no COCO file", "name the instances JSON file itself")
        return chosen


def _split_of(file: Path) -> SplitName | None:
    """The split that a whole word of the file's name says, else its folder in the dataset; a year may follow."""
    words = [*re.split(r"[\W_]+", file.stem), file.parent.name]
    plain = (word.lower().rstrip("0123456789") for word in words)
    return next((SPLIT_WORDS[word] for word in plain if word in SPLIT_WORDS), None)


def _folders(file: Path, split: SplitName | None) -> list[Path]:
    """Where the images of a file may lie, in the layouts of COCO, Roboflow, CVAT and Label Studio."""
    above = file.parent.parent
    named = file.stem.removeprefix("instances_")
    splits = [above / "images" / split, above / split] if split else []
    return [
        file.parent / "images",
        above / named,
        above / "images" / named,
        *splits,
        above / "images",
        file.parent,
        above,
    ]


def _folder_of(file: Path, names: Sequence[str], split: SplitName | None) -> Path:
    """The first folder that holds one of the first images."""
    first = names[:_LOOKED_FOR]
    for folder in _folders(file, split):
        if any((folder / name).is_file() for name in first):
            return folder
    if not first:
        return file.parent
    raise MissingSourceError(
        f"the images of {file} are in none of the usual places", "set dataset.images to their folder"
    )
