"""What is odd about a dataset without being wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from handful_trainer.dataset.preparation.assets import Asset
from handful_trainer.dataset.sources.base import SPLITS
from handful_trainer.tasks.base import LabelFormat

IMBALANCE = 10
"""A class with so many times fewer labels than the commonest is told."""


def warnings_of(
    report: dict[str, Any], assets: Sequence[Asset], families: Iterable[Sequence[Asset]], labels: LabelFormat
) -> list[str]:
    """Sentences for people, the gravest first.

    Args:
        report: the counts.
        assets: all assets.
        families: usable assets by content.
        labels: the task's labels.
    """
    noun = labels.noun
    usable = [asset for asset in assets if asset.outcome == "usable"]
    return [
        *_undecoded(report),
        *_missing_classes(report, noun),
        *_leaks(report),
        *_imbalance(report, noun),
        *_unknown_labels(report, noun),
        *labels.warnings(report, usable),
        *_strange_images(usable, families, noun),
        *_strays(report),
    ]


def _undecoded(report: dict[str, Any]) -> Iterator[str]:
    if images := report["not_decoded"]:
        yield (
            f"{images} images were not decoded (check: structure): "
            "garbled ones among them were not found, nor images that look alike"
        )


def _missing_classes(report: dict[str, Any], noun: str) -> Iterator[str]:
    absent = [name for name, number in report[f"{noun}_per_class"].items() if not number]
    if absent:
        yield f"no image shows {_words(absent)}: the model cannot learn it"
    for split in SPLITS:
        counted = report["splits"][split][f"{noun}_per_class"]
        if lacking := [name for name, number in counted.items() if not number and name not in absent]:
            yield f"no image of {split} shows {_words(lacking)}: there are too few"


def _leaks(report: dict[str, Any]) -> Iterator[str]:
    if pairs := report["pairs_across_splits"]:
        yield (
            f"{pairs} pairs of images that are alike lie in different splits: "
            "what is measured on val and test may be better than it is"
        )


def _imbalance(report: dict[str, Any], noun: str) -> Iterator[str]:
    """A class with a fraction of the labels of the commonest one."""
    counted = {name: number for name, number in report[f"{noun}_per_class"].items() if number}
    if not counted:
        return
    common = max(counted, key=lambda name: counted[name])
    rare = [name for name, number in counted.items() if number * IMBALANCE < counted[common]]
    if rare:
        few = ", ".join(f"{name} {counted[name]}" for name in rare)
        yield f"the classes are out of balance: {common} has {counted[common]} {noun}, {few}; label more of them"


def _unknown_labels(report: dict[str, Any], noun: str) -> Iterator[str]:
    for label, number in report["unknown_labels"].items():
        yield f"{number} {noun} of the unknown label {label!r} were left out"


def _strange_images(usable: Sequence[Asset], families: Iterable[Sequence[Asset]], noun: str) -> Iterator[str]:
    doubled = [same for same in families if len(same) > 1]
    torn = sum(len({asset.item.split for asset in same}) > 1 for same in doubled)
    if torn:
        yield f"{torn} identical images were in more than one split of the source and are now in one"
    unlike = sum(len({asset.labels.content for asset in same}) > 1 for same in doubled)
    if unlike:
        yield f"{unlike} identical images carry different {noun}: only one of them can be right"
    resized = sum(a.item.size is not None and a.item.size != (a.facts.width, a.facts.height) for a in usable)
    if resized:
        yield f"{resized} images have another size than the source says: their {noun} may not fit"


def _strays(report: dict[str, Any]) -> Iterator[str]:
    if strays := report["annotations_without_asset"]:
        yield f"{strays} annotations belong to no asset"
    if files := report["files_without_asset"]:
        yield f"{files} image files belong to no asset"


def _words(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
