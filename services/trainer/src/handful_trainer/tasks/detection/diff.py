"""What changed between two datasets: images and boxes that were added, removed or changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from handful_core.vision.detections import Detections, match
from handful_trainer.dataset.errors import DamagedFileError
from handful_trainer.dataset.prepared import ASSETS, PreparedDataset
from handful_trainer.dataset.sources.yolo.label_files import label_path
from handful_trainer.dataset.sources.yolo.labels import read_labels

_SAME = 1.0
"""Pixels: boxes of one class whose sides all lie as near as this are the same box."""


class Shown(NamedTuple):
    """A box: its class, and its sides in pixels."""

    label: str
    left: float
    top: float
    right: float
    bottom: float

    def __str__(self) -> str:
        """For people."""
        return f"{self.label} at {self.left:.0f}, {self.top:.0f}, {self.right:.0f}, {self.bottom:.0f}"


class LabelledImage(NamedTuple):
    """An image of a prepared dataset."""

    sha256: str
    split: str
    boxes: tuple[Shown, ...]


@dataclass(slots=True)
class BoxComparison:
    """What the second dataset has other than the first."""

    added: list[str] = field(default_factory=list)
    """Ids of assets that only the second has."""
    removed: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    """Those whose image has another content."""
    moved: dict[str, str] = field(default_factory=dict)
    """Those in another split: `train → test`."""
    boxes: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """Of images in both whose boxes differ: what was added, removed and changed."""
    classes_added: list[str] = field(default_factory=list)
    classes_removed: list[str] = field(default_factory=list)
    unchanged: int = 0
    """Images that are the same in all."""
    boxes_added: int = 0
    boxes_removed: int = 0
    boxes_changed: int = 0

    def as_json(self) -> dict[str, Any]:
        """For another program."""
        return {name: getattr(self, name) for name in self.__slots__}

    def counts(self) -> list[tuple[str, int, int, int]]:
        """Rows of a table: what, and how many were added, removed and changed."""
        return [
            ("images", len(self.added), len(self.removed), len(self.changed)),
            ("boxes", self.boxes_added, self.boxes_removed, self.boxes_changed),
            ("classes", len(self.classes_added), len(self.classes_removed), 0),
        ]

    def rows(self) -> list[tuple[str, str, str]]:
        """What differs in images that both have: asset, what, which."""
        found = [(i, f"box {kind}", what) for i, kinds in self.boxes.items() for kind in kinds for what in kinds[kind]]
        return found + [(asset_id, "image changed", "") for asset_id in self.changed]


def compare(first: PreparedDataset, second: PreparedDataset) -> BoxComparison:
    """Compare two prepared datasets, image by image, by the ids of their assets.

    Args:
        first: the older one.
        second: the newer one.

    Raises:
        DataError: one of them is no dataset that Handful prepared, or damaged.
    """
    (old_classes, old), (new_classes, new) = _images(first), _images(second)
    found = BoxComparison(
        added=sorted(new.keys() - old.keys()),
        removed=sorted(old.keys() - new.keys()),
        classes_added=[name for name in new_classes if name not in old_classes],
        classes_removed=[name for name in old_classes if name not in new_classes],
    )
    found.boxes_added = sum(len(new[asset_id].boxes) for asset_id in found.added)
    found.boxes_removed = sum(len(old[asset_id].boxes) for asset_id in found.removed)
    for asset_id in sorted(old.keys() & new.keys()):
        _compare_one(asset_id, old[asset_id], new[asset_id], found)
    return found


def _compare_one(asset_id: str, old: LabelledImage, new: LabelledImage, found: BoxComparison) -> None:
    if old.sha256 != new.sha256:
        found.changed.append(asset_id)
    if old.split != new.split:
        found.moved[asset_id] = f"{old.split} → {new.split}"
    added, removed, changed = _box_changes(list(old.boxes), list(new.boxes))
    if added or removed or changed:
        found.boxes[asset_id] = {
            "added": [str(box) for box in added],
            "removed": [str(box) for box in removed],
            "changed": [f"{before}, now {after}" for before, after in changed],
        }
    found.boxes_added += len(added)
    found.boxes_removed += len(removed)
    found.boxes_changed += len(changed)
    same = old.sha256 == new.sha256 and old.split == new.split
    found.unchanged += same and asset_id not in found.boxes


def _box_changes(old: list[Shown], new: list[Shown]) -> tuple[list[Shown], list[Shown], list[tuple[Shown, Shown]]]:
    """Boxes that came, that went, and pairs of those that overlap and were moved or given another class."""
    for box in list(old):
        if (twin := next((other for other in new if _is_same(box, other)), None)) is not None:
            old.remove(box)
            new.remove(twin)
    pairs = match(_as_detections(old), _as_detections(new), min_iou=0)
    paired_old, paired_new = {i for i, _ in pairs}, {j for _, j in pairs}
    added = [box for j, box in enumerate(new) if j not in paired_new]
    removed = [box for i, box in enumerate(old) if i not in paired_old]
    return added, removed, [(old[i], new[j]) for i, j in pairs]


def _is_same(one: Shown, other: Shown) -> bool:
    return one.label == other.label and all(abs(a - b) <= _SAME for a, b in zip(one[1:], other[1:], strict=True))


def _as_detections(boxes: Sequence[Shown]) -> Detections:
    """Sides alone: which boxes overlap does not depend on their classes."""
    sides = np.array([box[1:] for box in boxes], np.float32).reshape(-1, 4)
    return Detections(sides, np.ones(len(boxes), np.float32), np.zeros(len(boxes), np.int64))


def _images(dataset: PreparedDataset) -> tuple[tuple[str, ...], Mapping[str, LabelledImage]]:
    """Classes, and the usable images by asset id."""
    listed = dataset.root / ASSETS
    if not dataset.report or not listed.is_file():
        raise DamagedFileError(
            f"{dataset.root} was not prepared by Handful", "handful data prepare makes such a folder"
        )
    return dataset.classes, dict(_read(dataset.root, listed, dataset.classes))


def _read(root: Path, listed: Path, names: tuple[str, ...]) -> Iterator[tuple[str, LabelledImage]]:
    for number, line in enumerate(listed.read_text(encoding="utf-8").splitlines(), 1):
        try:
            entry = json.loads(line)
            if not entry["image"]:
                continue
            image, size = root / entry["image"], (int(entry["width"]), int(entry["height"]))
            asset_id, sha256 = str(entry["id"]), str(entry["sha256"])
        except (ValueError, KeyError, TypeError):
            raise DamagedFileError(f"{listed}, line {number} is damaged", "prepare the dataset again") from None
        width, height = size
        boxes = (
            Shown(b.label, b.x * width, b.y * height, (b.x + b.width) * width, (b.y + b.height) * height)
            for b in read_labels(label_path(image), names)
        )
        yield asset_id, LabelledImage(sha256, image.parent.name, tuple(boxes))
