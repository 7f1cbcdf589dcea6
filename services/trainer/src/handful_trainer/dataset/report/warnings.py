"""What is odd about a dataset without being wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from handful_trainer.dataset.preparation.assets import Asset
from handful_trainer.dataset.sources.base import SPLITS
from handful_trainer.tasks.detection.labels import Box

TINY = 8
"""Pixels. YOLO's finest map has one cell for so many: a box with a shorter side is less than one."""
IMBALANCE = 10
"""A class with so many times fewer boxes than the commonest is told."""


def warnings_of(report: dict[str, Any], assets: Sequence[Asset], families: Iterable[Sequence[Asset]]) -> list[str]:
    """Sentences for people, the gravest first.

    Args:
        report: the counts.
        assets: all assets.
        families: usable assets by content.
    """
    usable = [asset for asset in assets if asset.outcome == "usable"]
    return [
        *_undecoded(report),
        *_missing_classes(report),
        *_leaks(report),
        *_imbalance(report),
        *_strange_boxes(report, usable),
        *_strange_images(usable, families),
        *_strays(report),
    ]


def _undecoded(report: dict[str, Any]) -> Iterator[str]:
    if images := report["not_decoded"]:
        yield (
            f"{images} images were not decoded (check: structure): "
            "garbled ones among them were not found, nor images that look alike"
        )


def _missing_classes(report: dict[str, Any]) -> Iterator[str]:
    absent = [name for name, boxes in report["boxes_per_class"].items() if not boxes]
    if absent:
        yield f"no image shows {_words(absent)}: the model cannot learn it"
    for split in SPLITS:
        counted = report["splits"][split]["boxes_per_class"]
        if lacking := [name for name, boxes in counted.items() if not boxes and name not in absent]:
            yield f"no image of {split} shows {_words(lacking)}: there are too few"


def _leaks(report: dict[str, Any]) -> Iterator[str]:
    if pairs := report["pairs_across_splits"]:
        yield (
            f"{pairs} pairs of images that are alike lie in different splits: "
            "what is measured on val and test may be better than it is"
        )


def _imbalance(report: dict[str, Any]) -> Iterator[str]:
    """A class with a fraction of the boxes of the commonest one."""
    counted = {name: boxes for name, boxes in report["boxes_per_class"].items() if boxes}
    if not counted:
        return
    common = max(counted, key=lambda name: counted[name])
    rare = [name for name, boxes in counted.items() if boxes * IMBALANCE < counted[common]]
    if rare:
        few = ", ".join(f"{name} {counted[name]}" for name in rare)
        yield f"the classes are out of balance: {common} has {counted[common]} boxes, {few}; label more of them"


def _strange_boxes(report: dict[str, Any], usable: Sequence[Asset]) -> Iterator[str]:
    if tiny := report["tiny_boxes"]:
        yield f"{tiny} boxes are smaller than {TINY} pixels on one side: too small to be seen in a smaller image"
    for label, boxes in report["unknown_labels"].items():
        yield f"{boxes} boxes of the unknown label {label!r} were left out"
    if lost := sum(asset.lost_all for asset in usable):
        yield f"{lost} images lost all their boxes and now count as images that show nothing"


def _strange_images(usable: Sequence[Asset], families: Iterable[Sequence[Asset]]) -> Iterator[str]:
    doubled = [same for same in families if len(same) > 1]
    torn = sum(len({asset.item.split for asset in same}) > 1 for same in doubled)
    if torn:
        yield f"{torn} identical images were in more than one split of the source and are now in one"
    unlike = sum(len({frozenset(box[:5] for box in asset.kept) for asset in same}) > 1 for same in doubled)
    if unlike:
        yield f"{unlike} identical images carry different boxes: only one of them can be right"
    resized = sum(a.item.size is not None and a.item.size != (a.facts.width, a.facts.height) for a in usable)
    if resized:
        yield f"{resized} images have another size than the source says: their boxes may not fit"


def _strays(report: dict[str, Any]) -> Iterator[str]:
    if strays := report["annotations_without_asset"]:
        yield f"{strays} annotations belong to no asset"
    if files := report["files_without_asset"]:
        yield f"{files} image files belong to no asset"


def is_tiny(box: Box) -> bool:
    """Can a box hardly be seen by a network?"""
    return min(box.right - box.left, box.bottom - box.top) < TINY


def _words(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
