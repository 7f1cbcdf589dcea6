"""Every asset of a source, and what became of it."""

from __future__ import annotations

import difflib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from handful_trainer.dataset.accounts import IMAGES, Account, Books, few
from handful_trainer.dataset.errors import UnknownLabelError
from handful_trainer.dataset.inspection.facts import ImageFacts, WriteMode
from handful_trainer.dataset.sources.base import ACCEPTED, NO_ANNOTATION, RawDataset, RawItem, SplitName

if TYPE_CHECKING:
    from handful_trainer.dataset.settings import DatasetConfig
    from handful_trainer.tasks.base import Task
    from handful_trainer.tasks.label_format import Label, LabelFormat, Labels

Outcome = Literal["usable", "unlabelled", "alike", "not_accepted", "undecodable"]
_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "BMP": ".bmp"}
_LABEL_REASONS = {
    "outside": "outside the image",
    "zero_area": "without an area",
    "negative": "with a negative side",
    "duplicate": "given twice",
    "unknown_label": "of an unknown class",
    "crowd": "of a crowd",
}
"""Why labels are left out, in a few words that fit behind a number."""
ALIKE = "that belong together with one of another split"
"""Reason: see `Asset.alike`."""


class Asset(NamedTuple):
    """An asset with all that was found out about it."""

    item: RawItem
    facts: ImageFacts
    labels: Labels
    """Empty unless it is usable."""
    split: SplitName | None = None
    """None unless it is usable."""
    alike: str = ""
    """The image of another split that it is alike to, for which it is left out."""

    @property
    def outcome(self) -> Outcome:
        """Can it be trained on?"""
        if self.facts.defect:
            return "undecodable"
        if self.item.status != ACCEPTED:
            return "not_accepted"
        if self.alike:
            return "alike"
        return "unlabelled" if self.labels.required and not self.labels.kept else "usable"

    @property
    def kept(self) -> Sequence[Label]:
        """Its good labels."""
        return self.labels.kept

    @property
    def file_name(self) -> str:
        """Name of the prepared image: its suffix says what it is, whatever the source's file was called."""
        suffix = ".png" if self.facts.write_mode is WriteMode.PNG else _SUFFIXES[self.facts.format]
        return f"{self.item.id}{suffix}"


@dataclass(frozen=True, slots=True)
class PreparedAssets:
    """All that a dataset is written from."""

    config: DatasetConfig
    task: Task
    classes: tuple[str, ...]
    raw: RawDataset
    """What the source said."""
    assets: Sequence[Asset]
    fingerprint: str
    accounts: tuple[Account, ...]
    """Of everything: what the source found, then images and labels."""

    @property
    def labels(self) -> LabelFormat:
        """The task's labels."""
        return self.task.labels

    def with_outcome(self, outcome: Outcome) -> list[Asset]:
        """The assets of which this came."""
        return [asset for asset in self.assets if asset.outcome == outcome]


def classify_asset(item: RawItem, facts: ImageFacts, class_ids: Mapping[str, int], labels: LabelFormat) -> Asset:
    """An asset with its labels cleaned, if it is usable."""
    clean = not facts.defect and item.status == ACCEPTED
    return Asset(item, facts, labels.clean(item, facts, class_ids) if clean else labels.empty())


CORRECTION = "used for the images that they correct"
"""Status of reviewed pictures whose annotation another image got."""


def with_corrections(assets: Sequence[Asset]) -> list[Asset]:
    """Give images of a dataset the annotations that people wrote after `handful data label-issues --review`.

    The image stays where it is, in whatever split, and the reviewed picture is not used besides.
    """
    reviewed = {a.item.corrects: a for a in assets if a.item.corrects and a.outcome in {"usable", "unlabelled"}}
    if not reviewed:
        return list(assets)
    sizes = {a.facts.sha256: _size(a) for a in assets if not a.item.reviewed and not a.facts.defect}
    # Boxes are in pixels: those of a picture of another size would lie elsewhere.
    wanted = {sha256: asset for sha256, asset in reviewed.items() if sizes.get(sha256) == _size(asset)}
    return [_corrected(asset, wanted) for asset in assets]


def _size(asset: Asset) -> tuple[int, int]:
    return asset.facts.width, asset.facts.height


def _corrected(asset: Asset, wanted: Mapping[str, Asset]) -> Asset:
    if asset.item.reviewed:
        used = asset.item.corrects in wanted
        return asset._replace(item=asset.item._replace(status=CORRECTION)) if used else asset
    review = wanted.get(asset.facts.sha256)
    if review is None or asset.facts.defect:
        return asset
    new = review.item
    item = asset.item._replace(
        boxes=new.boxes, labels=new.labels, status=new.status, relative=new.relative, reviewed=True
    )
    return asset._replace(item=item, labels=review.labels)


def check_labels(assets: Sequence[Asset], class_ids: Mapping[str, int], noun: str) -> None:
    """Refuse labels that are none of the classes.

    Args:
        assets: all assets.
        class_ids: class id by name.
        noun: what a label is called, in the plural.

    Raises:
        UnknownLabelError: a usable image has such a label.
    """
    if unknown := unknown_labels(assets):
        _refuse(unknown, assets, class_ids, noun)


def unknown_labels(assets: Iterable[Asset]) -> Counter[str]:
    """Labels that are none of the classes, and how often each was given."""
    return Counter(d.label for asset in assets for d in asset.labels.dropped if d.reason == "unknown_label")


def account_for(assets: Sequence[Asset], labels: LabelFormat) -> tuple[Account, ...]:
    """What became of all images, and of all labels that images have.

    Raises:
        AccountingError: something got lost.
    """
    books, noun = Books(), labels.noun
    books.find(IMAGES, len(assets))
    for asset in assets:
        found, used = sum(1 for _ in labels.named(asset.item)), asset.outcome == "usable"
        books.find(noun, found)
        if used:
            books.use(IMAGES)
            books.use(noun, len(asset.kept))
            for dropped in asset.labels.dropped:
                books.leave_out(noun, _LABEL_REASONS.get(dropped.reason, dropped.reason), asset.item.id)
        else:
            reason = why_left_out(asset)
            name = f"{asset.item.id} (as {asset.alike})" if asset.alike else asset.item.id
            books.leave_out(IMAGES, reason, name)
            for _ in range(found):
                books.leave_out(noun, "of an image that is left out", asset.item.id)
    return books.close()


def why_left_out(asset: Asset) -> str:
    """Why an image is not used, in a few words."""
    words = {"undecodable": asset.facts.defect, "not_accepted": asset.item.status}
    word = words.get(asset.outcome, asset.outcome).replace("_", " ")
    return {NO_ANNOTATION: "without an annotation", "alike": ALIKE}.get(word, word)


def identical(assets: Iterable[Asset]) -> list[list[Asset]]:
    """Usable assets by content: those of one list are byte for byte the same image."""
    same: dict[str, list[Asset]] = defaultdict(list)
    for asset in assets:
        if asset.outcome == "usable":
            same[asset.facts.sha256].append(asset)
    return list(same.values())


def _refuse(unknown: Counter[str], assets: Sequence[Asset], class_ids: Mapping[str, int], noun: str) -> None:
    label, number = unknown.most_common(1)[0]
    where = [
        asset.item.id
        for asset in assets
        if any(d.label == label and d.reason == "unknown_label" for d in asset.labels.dropped)
    ]
    more = f"; {len(unknown) - 1} more labels are unknown" if len(unknown) > 1 else ""
    near = difflib.get_close_matches(label, class_ids, n=1)
    guess = f"did you mean {near[0]!r}? Correct the label, " if near else "correct the label, "
    raise UnknownLabelError(
        f"the label {label!r} is not one of the classes {', '.join(class_ids)} "
        f"({number} {noun}, in assets {few(where)}{more})",
        guess + f"add it to dataset.classes, or leave such {noun} out with dataset.unknown_labels=drop",
    )
