"""Boxes as a task's labels: what counts, how they lie on disk, what the report says of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from handful_trainer.dataset.accounts import few
from handful_trainer.dataset.errors import AnnotationError
from handful_trainer.dataset.inspection.facts import ImageFacts
from handful_trainer.dataset.preparation.assets import Asset
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.dataset.report.build import tally
from handful_trainer.dataset.report.page import Outline
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import SPLITS, RawItem, SplitName
from handful_trainer.tasks.detection import layout
from handful_trainer.tasks.detection.diff import BoxComparison, compare
from handful_trainer.tasks.detection.labels import DROP_REASONS, Box, CleanBoxes, LabelEntry, clean_boxes, write_labels
from handful_trainer.tasks.label_format import OpenedFolder, alike

TINY = 8
"""Pixels. YOLO's finest map has one cell for so many: a box with a shorter side is less than one."""


class BoxFormat:
    """Boxes, in YOLO's layout."""

    noun = "boxes"
    one = "a box"
    without = "images that show nothing"
    write = staticmethod(write_labels)
    titles: Mapping[str, str] = {
        "box_outside": "Boxes outside the image",
        "box_zero_area": "Boxes without an area",
        "box_negative": "Boxes with a negative side",
        "box_duplicate": "Boxes given twice",
        "box_unknown_label": "Boxes with an unknown label",
        "box_clipped": "Boxes cut to the image",
        "tiny": "Tiny boxes",
    }

    def named(self, item: RawItem) -> Iterable[str]:
        """The boxes' labels."""
        return (box.label for box in item.boxes)

    def clean(self, item: RawItem, facts: ImageFacts, class_ids: Mapping[str, int]) -> CleanBoxes:
        """Clip boxes to the image, and drop those that are bad."""
        return clean_boxes(item, facts.width, facts.height, class_ids)

    def empty(self) -> CleanBoxes:
        """No boxes."""
        return CleanBoxes()

    def check(self, config: DatasetConfig, assets: Sequence[Asset]) -> None:
        """Refuse polygons, where the configuration says so.

        Raises:
            AnnotationError: a usable image has one.
        """
        if config.polygons != "refuse":
            return
        usable = (asset for asset in assets if asset.outcome == "usable")
        if where := [a.item.id for a in usable if any(box.shape == "polygon" for box in a.item.boxes)]:
            raise AnnotationError(
                f"{len(where)} images have polygons: the assets {few(where)}",
                "draw boxes instead, or take the box around each with dataset.polygons=boxes",
            )

    def kept_counts(self, usable: Sequence[Asset]) -> dict[str, Any]:
        """How many boxes are kept, were cut, or left out."""
        dropped = Counter(box.reason for asset in usable for box in asset.labels.dropped)
        return {
            "usable_without_boxes": sum(not asset.kept for asset in usable),
            "boxes_kept": sum(len(asset.kept) for asset in usable),
            "boxes_clipped": sum(box.clipped for asset in usable for box in _boxes(asset).kept),
            "boxes_dropped": tally(dropped.elements(), DROP_REASONS),
        }

    def odd_counts(self, usable: Sequence[Asset]) -> dict[str, int]:
        """How many boxes can hardly be seen."""
        return {"tiny_boxes": sum(is_tiny(box) for asset in usable for box in _boxes(asset).kept)}

    def problems(self, asset: Asset) -> Iterator[tuple[str, str]]:
        """Boxes that were left out or cut, with their place."""
        boxes = _boxes(asset)
        for box, reason in boxes.dropped:
            yield f"box_{reason}", f"{box.label}: {_place((box.x, box.y, box.width, box.height))}"
        for kept in boxes.kept:
            if kept.clipped:
                yield "box_clipped", f"cut to left, top, right, bottom {_place(kept.sides)}"

    def oddities(self, asset: Asset) -> Iterator[str]:
        """`tiny`, if it has such a box."""
        if any(is_tiny(box) for box in _boxes(asset).kept):
            yield "tiny"

    def warnings(self, report: Mapping[str, Any], usable: Sequence[Asset]) -> Iterator[str]:
        """Classes that look alike, boxes that reach outside or are tiny, and images that lost all of theirs."""
        if pair := alike(list(report["boxes_per_class"])):
            yield (
                f"the classes {pair[0]!r} and {pair[1]!r} look alike (case, blanks or the spelling of accents differ): "
                "they are learned as two, or give both the same name"
            )
        clipped, kept = report["boxes_clipped"], report["boxes_kept"]
        if clipped * 2 >= kept > 0:
            yield (
                f"{clipped} of {kept} boxes reach outside their images and are cut: see whether their numbers mean "
                "centre and size, or corners, and belong to images of this size"
            )
        if tiny := report["tiny_boxes"]:
            yield f"{tiny} boxes are smaller than {TINY} pixels on one side: too small to be seen in a smaller image"
        negative = report["usable_without_boxes"]
        if negative * 2 >= len(usable) > 0:
            yield (
                f"{negative} of {len(usable)} images have no box: that is right for pictures of nothing, "
                "else look where their annotations are"
            )
        if lost := sum(bool(asset.item.boxes) and not asset.kept for asset in usable):
            yield f"{lost} images lost all their boxes and now count as images that show nothing"

    def outlines(self, asset: Asset, classes: Sequence[str]) -> Iterator[Outline]:
        """Kept boxes, then dropped ones."""
        boxes = _boxes(asset)
        for box in boxes.kept:
            kind, hue = "clipped" if box.clipped else "kept", box.class_id * 67 % 360
            width, height = box.right - box.left, box.bottom - box.top
            yield Outline(box.left, box.top, width, height, classes[box.class_id], kind, hue)
        for raw, reason in boxes.dropped:
            left, top = min(raw.x, raw.x + raw.width), min(raw.y, raw.y + raw.height)
            text = f"{raw.label}: {reason.replace('_', ' ')}"
            # One without an area becomes a line.
            yield Outline(left, top, max(1, abs(raw.width)), max(1, abs(raw.height)), text, "dropped")

    def folders(self, classes: Sequence[str]) -> Iterator[str]:  # noqa: ARG002  # Other layouts have folders by class.
        """images/SPLIT and labels/SPLIT."""
        return (f"{kind}/{split}" for kind in ("images", "labels") for split in SPLITS)

    def image_name(self, asset: Asset, classes: Sequence[str]) -> str:  # noqa: ARG002
        """images/SPLIT/NAME."""
        return f"images/{asset.split}/{asset.file_name}"

    def entries(self, usable: Sequence[Asset]) -> list[LabelEntry]:
        """One label file for each image."""
        return [layout.entry_of(asset) for asset in usable]

    def describe(self, folder: Path, classes: Sequence[str]) -> None:
        """Write data.yaml."""
        layout.write_data_yaml(folder, classes)

    def is_whole(self, root: Path, splits: Mapping[str, int]) -> bool:
        """Are all images and label files still there?"""
        return (root / layout.DATA_YAML).is_file() and layout.is_whole(root, splits)

    def opens(self, path: Path) -> bool:
        """A YAML file, or a folder with one that lists names."""
        if path.suffix in {".yaml", ".yml"}:
            return True
        return any(map(_lists_names, path.glob("*.y*ml")))

    def open(self, path: Path) -> OpenedFolder:
        """Read data.yaml."""
        return layout.open_folder(path)

    def sizes(self, folder: OpenedFolder) -> dict[str, int]:
        """Images of each split."""
        return layout.count_images(folder)

    def samples(self, dataset: PreparedDataset, split: SplitName) -> Iterator[tuple[Path, layout.BoxTruth]]:
        """Images with boxes in pixels and class ids."""
        return layout.read_split(dataset.description, split)

    def compare(self, first: PreparedDataset, second: PreparedDataset) -> BoxComparison:
        """Images and boxes that were added, removed or changed."""
        return compare(first, second)


def is_tiny(box: Box) -> bool:
    """Can a box hardly be seen by a network?"""
    return min(box.right - box.left, box.bottom - box.top) < TINY


def _boxes(asset: Asset) -> CleanBoxes:
    return cast("CleanBoxes", asset.labels)


def _place(numbers: Iterable[float]) -> str:
    return ", ".join(f"{number:g}" for number in numbers)


def _lists_names(path: Path) -> bool:
    try:
        return re.search(r"(?m)^[\"']?names[\"']?\s*:", path.read_text(encoding="utf-8", errors="replace")) is not None
    except OSError:  # A folder, a link that leads nowhere, or a file of somebody else: it says nothing.
        return False
