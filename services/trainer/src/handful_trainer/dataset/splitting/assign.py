"""The split of every image: its source's, the one it had before, or a new one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from handful_trainer.dataset.errors import EmptyDatasetError
from handful_trainer.dataset.preparation.assets import Asset
from handful_trainer.dataset.settings import DatasetConfig, TogetherConfig
from handful_trainer.dataset.sources.base import SPLITS, SplitName
from handful_trainer.dataset.splitting.groups import find_alike, group_assets
from handful_trainer.dataset.splitting.stratify import NO_LABEL, Group, split_groups

_STRICTEST: tuple[SplitName, ...] = ("test", "val", "train")
"""Of images that are alike and in different splits, those of the first stay."""

Earlier = Mapping[str, SplitName]
"""The split that an image was in before, by the sha256 of its file."""


def assign_splits(assets: Sequence[Asset], config: DatasetConfig, earlier: Earlier | None = None) -> list[Asset]:
    """Put every usable asset into a split; those of one group into the same.

    An image that was in a split before stays there. Where a new image shows that images of different splits belong
    together, test wins over val and val over train: the new image goes there, and what is alike in the other splits is
    left out (`Asset.alike`).

    Args:
        assets: all assets.
        config: proportions, what belongs together, seed.
        earlier: where images were before.

    Raises:
        EmptyDatasetError: names or tags leave fewer groups than there are splits.
    """
    usable = [asset for asset in assets if asset.outcome == "usable"]
    known = _still_open(usable, earlier or {})
    grouped = group_assets(usable, config.keep_together)
    if len(grouped) < len(SPLITS):  # All frames of one short video, say: better a split with a warning than none.
        grouped = group_assets(usable, config.keep_together.model_copy(update={"near_duplicates": -1}))
    if len(grouped) < len(SPLITS):
        raise EmptyDatasetError(
            f"what belongs together makes {len(grouped)} groups, train, val and test need at least one each",
            "make dataset.keep_together.pattern or .tags finer, or add images",
        )
    by_group = [list(_by_earlier_split(members, known)) for members in grouped]
    parts = [part for group in by_group for part in group]
    shares = config.split
    fractions: dict[SplitName, float] = {"train": shares.train, "val": shares.val, "test": shares.test}
    splits = split_groups([_group(members, split) for members, split in parts], fractions, config.seed)
    split_by_id = {a.item.id: split for (members, _), split in zip(parts, splits, strict=True) for a in members}
    assigned = [asset._replace(split=split_by_id.get(asset.item.id)) for asset in assets]
    torn = [members for members, group in zip(grouped, by_group, strict=True) if len(group) > 1]
    return _without_torn(assigned, torn, config.keep_together) if torn else assigned


def _still_open(usable: Sequence[Asset], earlier: Earlier) -> dict[str, SplitName]:
    """Earlier splits by asset id, of those splits that the source does not have itself."""
    own = {asset.item.split for asset in usable}
    return {
        asset.item.id: split
        for asset in usable
        if asset.item.split in {None, "train"}
        and (split := earlier.get(asset.facts.sha256)) is not None
        and (split == "train" or split not in own)
    }


def _by_earlier_split(
    members: Sequence[Asset], known: Mapping[str, SplitName]
) -> Iterator[tuple[list[Asset], SplitName | None]]:
    """A group, in parts where its images were in different splits before; new images go with the strictest."""
    if not any(asset.item.id in known for asset in members):
        yield list(members), None
        return
    stay = {asset.item.id: known.get(asset.item.id) or _own_split(asset) for asset in members}
    found = set(stay.values())
    strictest = next(split for split in _STRICTEST if split in found)
    parts: dict[SplitName, list[Asset]] = defaultdict(list)
    for asset in members:
        parts[stay[asset.item.id] or strictest].append(asset)
    for split, part in parts.items():
        yield part, split


def _own_split(asset: Asset) -> SplitName | None:
    """The split of the source, if it is none that is shared out."""
    return asset.item.split if asset.item.split != "train" else None


def _without_torn(assets: Sequence[Asset], torn: Iterable[Sequence[Asset]], config: TogetherConfig) -> list[Asset]:
    """Leave out what is alike to an image of a stricter split.

    Args:
        assets: all assets.
        torn: groups of which parts were in different splits before.
        config: what makes images alike.
    """
    alike: dict[str, str] = {}
    by_id = {asset.item.id: asset for asset in assets}
    for members in torn:
        kept: list[Asset] = []
        for split in _STRICTEST:
            own = [by_id[asset.item.id] for asset in members if by_id[asset.item.id].split == split]
            twins = {asset.item.id: find_alike(asset, kept, config) for asset in own}
            alike |= {asset_id: twin.item.id for asset_id, twin in twins.items() if twin}
            kept += [asset for asset in own if not twins[asset.item.id]]
    return [
        asset._replace(split=None, alike=alike[asset.item.id]) if asset.item.id in alike else asset for asset in assets
    ]


def _group(members: Sequence[Asset], earlier: SplitName | None) -> Group:
    if len(members) == 1:  # Nearly all are.
        labels = frozenset([box.class_id for box in members[0].kept])
        return Group(1, labels, members[0].item.split, earlier=earlier)
    images = Counter(class_id for asset in members for class_id in {box.class_id for box in asset.kept} or (NO_LABEL,))
    return Group(
        size=len(members),
        labels=frozenset(images) - {NO_LABEL},
        source_split=_source_split(members),
        earlier=earlier,
        images_by_label=tuple(sorted(images.items())),
    )


def _source_split(members: Sequence[Asset]) -> SplitName | None:
    """Where the source has them. If it has them in several splits, the training split gives way."""
    splits = {asset.item.split for asset in members}
    return next((split for split in _STRICTEST if split in splits), None)
