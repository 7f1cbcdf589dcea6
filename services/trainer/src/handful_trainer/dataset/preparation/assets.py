"""Every asset of a source, and what became of it."""

from __future__ import annotations

import difflib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from handful_trainer.dataset.errors import AnnotationError, UnknownLabelError
from handful_trainer.dataset.inspection.facts import ImageFacts, WriteMode
from handful_trainer.dataset.sources.base import ACCEPTED, RawItem, SplitName
from handful_trainer.tasks.detection.labels import Box, CleanBoxes, clean_boxes

Outcome = Literal["usable", "not_accepted", "undecodable"]
_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "BMP": ".bmp"}
_SHOWN = 3


class Asset(NamedTuple):
    """An asset with all that was found out about it."""

    item: RawItem
    facts: ImageFacts
    boxes: CleanBoxes = CleanBoxes()
    """Empty unless it is usable."""
    split: SplitName | None = None
    """None unless it is usable."""

    @property
    def outcome(self) -> Outcome:
        """Can it be trained on?"""
        if self.facts.defect:
            return "undecodable"
        return "usable" if self.item.status == ACCEPTED else "not_accepted"

    @property
    def kept(self) -> tuple[Box, ...]:
        """Its good boxes."""
        return self.boxes.kept

    @property
    def lost_all(self) -> bool:
        """Did it have boxes, and none is left?"""
        return bool(self.item.boxes) and not self.kept and self.outcome == "usable"

    @property
    def file_name(self) -> str:
        """Name of the prepared image: its suffix says what it is, whatever the source's file was called."""
        suffix = ".png" if self.facts.write_mode is WriteMode.PNG else _SUFFIXES[self.facts.format]
        return f"{self.item.id}{suffix}"


def classify_asset(item: RawItem, facts: ImageFacts, class_ids: Mapping[str, int]) -> Asset:
    """An asset with its boxes cleaned, if it is usable."""
    asset = Asset(item, facts)
    if asset.outcome != "usable":
        return asset
    return Asset(item, facts, clean_boxes(item, facts.width, facts.height, class_ids))


def check_labels(assets: Sequence[Asset], class_ids: Mapping[str, int]) -> None:
    """Refuse labels that are none of the classes.

    Raises:
        UnknownLabelError: a usable image has such a label.
    """
    if unknown := unknown_labels(assets):
        _refuse(unknown, assets, class_ids)


def check_polygons(assets: Iterable[Asset]) -> None:
    """Refuse polygons.

    Raises:
        AnnotationError: a usable image has one.
    """
    where = [a.item.id for a in assets if a.outcome == "usable" and any(b.shape == "polygon" for b in a.item.boxes)]
    if where:
        raise AnnotationError(
            f"{len(where)} images have polygons: the assets {_few(where)}",
            "draw boxes instead, or take the box around each with dataset.polygons=boxes",
        )


def unknown_labels(assets: Iterable[Asset]) -> Counter[str]:
    """Labels that are none of the classes, with their number of boxes."""
    return Counter(box.label for asset in assets for box, why in asset.boxes.dropped if why == "unknown_label")


def identical(assets: Iterable[Asset]) -> list[list[Asset]]:
    """Usable assets by content: those of one list are byte for byte the same image."""
    same: dict[str, list[Asset]] = defaultdict(list)
    for asset in assets:
        if asset.outcome == "usable":
            same[asset.facts.sha256].append(asset)
    return list(same.values())


def _few(ids: Sequence[str]) -> str:
    """The first ids, and how many more there are."""
    return ", ".join(ids[:_SHOWN]) + (f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else "")


def _refuse(unknown: Counter[str], assets: Sequence[Asset], class_ids: Mapping[str, int]) -> None:
    label, boxes = unknown.most_common(1)[0]
    where = [a.item.id for a in assets if any(b.label == label and r == "unknown_label" for b, r in a.boxes.dropped)]
    more = f"; {len(unknown) - 1} more labels are unknown" if len(unknown) > 1 else ""
    near = difflib.get_close_matches(label, class_ids, n=1)
    guess = f"did you mean {near[0]!r}? Correct the label, " if near else "correct the label, "
    raise UnknownLabelError(
        f"the label {label!r} is none of the classes {', '.join(class_ids)} "
        f"({boxes} boxes, in assets {_few(where)}{more})",
        guess + "add it to dataset.classes, or leave such boxes out with dataset.unknown_labels=drop",
    )
