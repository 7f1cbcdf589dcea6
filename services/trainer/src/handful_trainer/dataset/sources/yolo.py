"""A folder in YOLO's layout: data.yaml, images/, labels/."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from handful_trainer.dataset.errors import AnnotationError, DamagedFileError, MissingSourceError
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import (
    ACCEPTED,
    IMAGE_SUFFIXES,
    SPLITS,
    AssetIds,
    RawBox,
    RawDataset,
    RawItem,
    SplitName,
)


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
        asset_id = ids.assign(below)
        yield RawItem(asset_id, image, image.name, ACCEPTED, boxes=boxes, split=splits[image], relative=True)


def _has_lists(places: Iterable[Path]) -> bool:
    return any(not place.is_dir() for place in places)


CACHE_SUFFIXES = (".cache", ".npy")
"""Suffixes of the files that Ultralytics leaves beside images; they are no part of a dataset."""
_OTHER_NAMES = {"val": ("val", "valid", "validation")}


@dataclass(frozen=True, slots=True)
class YoloFolder:
    """The content of a `data.yaml`."""

    data_yaml: Path
    root: Path
    """Folder that the splits' paths begin at."""
    names: tuple[str, ...]
    splits: dict[SplitName, tuple[Path, ...]]
    """Folders and list files of each split that it names."""

    def images(self, split: SplitName) -> list[Path]:
        """The images of a split, sorted by path; empty if it has none."""
        return sorted({image for place in self.splits.get(split, ()) for image in _images(place)})


def open_yolo_folder(path: Path) -> YoloFolder:
    """Read a `data.yaml`.

    Args:
        path: the file, or the folder that holds it.

    Raises:
        MissingSourceError: it is not there, or a folder that it names is not.
        DamagedFileError: it is no YAML or lacks the names.
    """
    data_yaml = path if path.is_file() else _find(path)
    content = _read(data_yaml)
    root = _root(data_yaml, content)
    splits = {split: _places(data_yaml, root, content, split) for split in SPLITS}
    if not any(splits.values()):
        raise DamagedFileError(f"{data_yaml} names no images", "give it train: and val:")
    present = {split: places for split, places in splits.items() if places}
    return YoloFolder(data_yaml, root, _names(data_yaml, content), present)


def _find(folder: Path) -> Path:
    if not folder.exists():
        raise MissingSourceError(f"{folder} does not exist", "name a YOLO folder or its data.yaml")
    candidates = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
    named = [path for path in candidates if path.stem in {"data", "dataset"}]
    if len(named or candidates) == 1:
        return (named or candidates)[0]
    if not candidates:
        raise MissingSourceError(f"{folder} has no data.yaml", "name a YOLO folder or its data.yaml")
    raise MissingSourceError(f"{folder} has several YAML files", "name the one that describes the dataset")


def _read(data_yaml: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(data_yaml.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedFileError(f"{data_yaml} is no valid YAML ({error})", "correct it") from None
    if not isinstance(content, dict):
        raise DamagedFileError(f"{data_yaml} does not describe a dataset", "it needs names:, train: and val:")
    return content


def _names(data_yaml: Path, content: dict[str, Any]) -> tuple[str, ...]:
    names = content.get("names")
    if isinstance(names, dict) and sorted(names, key=str) == sorted(range(len(names)), key=str):
        names = [names[position] for position in range(len(names))]
    if not isinstance(names, list) or not names:
        raise DamagedFileError(f"{data_yaml} has no list of class names", "give it names: numbered from 0")
    return tuple(str(name) for name in names)


def _root(data_yaml: Path, content: dict[str, Any]) -> Path:
    """`path` of the file, if there is such a folder; else the folder that the file lies in."""
    parent = data_yaml.resolve().parent
    stated = content.get("path")
    if isinstance(stated, str) and (parent / stated).is_dir():
        return (parent / stated).resolve()
    return parent


def _places(data_yaml: Path, root: Path, content: dict[str, Any], split: SplitName) -> tuple[Path, ...]:
    value: Any = next((content[key] for key in _OTHER_NAMES.get(split, (split,)) if content.get(key)), [])
    values = value if isinstance(value, list) else [value]
    return tuple(_place(data_yaml, root, str(value)) for value in values)


def _place(data_yaml: Path, root: Path, value: str) -> Path:
    # Exports of Roboflow write ../train/images and mean train/images; Ultralytics reads it so too.
    for candidate in (root / value, root / value.removeprefix("../")):
        if candidate.exists():
            return candidate.resolve()
    raise MissingSourceError(
        f"{data_yaml} names {value}, which does not exist in {root}", "correct the file or its path:"
    )


def _images(place: Path) -> Iterator[Path]:
    if place.is_dir():
        yield from (path for path in place.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
        return
    for line in place.read_text(encoding="utf-8-sig").splitlines():
        if line.strip():
            yield (place.parent / line.strip()).absolute()


def label_path(image: Path) -> Path:
    """Where an image's labels lie: the last folder called images becomes labels; without one, beside the image."""
    parts = list(image.parts)
    for position in range(len(parts) - 2, -1, -1):
        if parts[position] == "images":
            parts[position] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def read_labels(path: Path, names: tuple[str, ...]) -> tuple[RawBox, ...]:
    """The boxes of a label file, in shares of the image; none if there is no file.

    A line is `class x y width height` (of the box's centre) or `class` and the points of an outline.

    Raises:
        AnnotationError: a line is neither; the error names file and line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except UnicodeDecodeError:
        raise AnnotationError(f"{path} is no text", "write its labels again") from None
    return tuple(_box(f"{path}, line {n}", line.split(), names) for n, line in enumerate(lines, 1) if line.strip())


def _box(where: str, words: list[str], names: tuple[str, ...]) -> RawBox:
    hint = "a line is: class x y width height"
    try:
        values = [float(word) for word in words]
    except ValueError:
        raise AnnotationError(f"{where} holds something that is no number", hint) from None
    is_outline = len(values) >= 7 and len(values) % 2 == 1
    if len(values) != 5 and not is_outline:
        raise AnnotationError(f"{where} holds {len(values)} numbers", hint)
    if not all(map(math.isfinite, values)) or values[0] != int(values[0]):
        raise AnnotationError(f"{where} holds a number that does not fit", hint)
    class_id, *rest = values
    number = int(class_id)
    label = names[number] if 0 <= number < len(names) else f"class {number}"
    if is_outline:
        left, right, top, bottom = min(rest[::2]), max(rest[::2]), min(rest[1::2]), max(rest[1::2])
        return RawBox(label, left, top, right - left, bottom - top, "polygon")
    x, y, width, height = rest
    return RawBox(label, x - width / 2, y - height / 2, width, height)
