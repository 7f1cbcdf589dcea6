"""Which images must be on one side of the split, and whether they are."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence

from handful_trainer.dataset.errors import EmptyDatasetError
from handful_trainer.dataset.inspection.phash import near_duplicates
from handful_trainer.dataset.preparation.assets import Asset
from handful_trainer.dataset.settings import DatasetConfig, TogetherConfig
from handful_trainer.dataset.sources.base import SPLITS, SplitName
from handful_trainer.dataset.splitting.stratify import Group, split_groups


class UnionFind:
    """Assets that belong together, joined step by step (union-find)."""

    def __init__(self, size: int) -> None:
        self._parents = list(range(size))

    def find(self, member: int) -> int:
        """The one that stands for a member's family."""
        parents = self._parents
        while parents[member] != member:
            parents[member] = parents[parents[member]]
            member = parents[member]
        return member

    def join(self, one: int, other: int) -> None:
        """Make two families one."""
        self._parents[self.find(one)] = self.find(other)

    def join_same(self, keys: Iterable[Hashable]) -> None:
        """Join the members that have the same key; None is no key."""
        first: dict[Hashable, int] = {}
        for member, key in enumerate(keys):
            if key is not None:
                self.join(member, first.setdefault(key, member))

    def members(self) -> list[list[int]]:
        """All families, each in the order of its members."""
        found: dict[int, list[int]] = defaultdict(list)
        for member in range(len(self._parents)):
            found[self.find(member)].append(member)
        return sorted(found.values())


def group_assets(usable: Sequence[Asset], config: TogetherConfig) -> list[list[Asset]]:
    """Usable assets by what must not be torn apart.

    Near-duplicates that the source itself put on different sides stay there: see `leaks`.
    """
    families = UnionFind(len(usable))
    families.join_same(asset.facts.sha256 for asset in usable)
    if config.near_duplicates >= 0:
        for one, other in _near_on_one_side(usable, config.near_duplicates):
            families.join(one, other)
    families.join_same(name_key(asset, config) for asset in usable)
    for tag in sorted({tag for asset in usable for tag in _tags(asset, config)}):
        families.join_same(True if tag in asset.item.tags else None for asset in usable)
    return [[usable[member] for member in found] for found in families.members()]


def _near_on_one_side(usable: Sequence[Asset], distance: int) -> Iterator[tuple[int, int]]:
    """Positions of near-duplicates, one side of the source after the other: what stands between them is left out."""
    for split in SPLITS:  # What has no side of its own is shared out together with the training images.
        members = [position for position, asset in enumerate(usable) if (asset.item.split or "train") == split]
        for one, other in near_duplicates([usable[member].facts.phash for member in members], distance):
            yield members[one], members[other]


def assign_splits(assets: Sequence[Asset], config: DatasetConfig) -> list[Asset]:
    """Put every usable asset into a split; what belongs together into the same.

    Raises:
        EmptyDatasetError: names or tags leave fewer groups than there are splits.
    """
    usable = [asset for asset in assets if asset.outcome == "usable"]
    families = group_assets(usable, config.keep_together)
    if len(families) < len(SPLITS):  # A short film of one scene, say: better a split with a warning than none.
        families = group_assets(usable, config.keep_together.model_copy(update={"near_duplicates": -1}))
    if len(families) < len(SPLITS):
        raise EmptyDatasetError(
            f"what belongs together makes {len(families)} groups, train, val and test need at least one each",
            "make dataset.keep_together.pattern or .tags finer, or add images",
        )
    groups = [_group(same) for same in families]
    split = config.split
    chosen = split_groups(groups, {"train": split.train, "val": split.val, "test": split.test}, config.seed)
    side = {asset.item.id: name for same, name in zip(families, chosen, strict=True) for asset in same}
    return [Asset(*asset[:3], side.get(asset.item.id)) for asset in assets]


def _group(same: Sequence[Asset]) -> Group:
    if len(same) == 1:  # Nearly all are.
        labels = frozenset([box.class_id for box in same[0].kept])
        return Group(1, labels, same[0].item.split)
    shown = Counter(class_id for asset in same for class_id in {box.class_id for box in asset.kept} or (-1,))
    return Group(len(same), frozenset(shown) - {-1}, _own_split(same), tuple(sorted(shown.items())))


def _own_split(same: Sequence[Asset]) -> SplitName | None:
    """Where the source has them. If it has one image on several sides, the training side gives way."""
    own = {asset.item.split for asset in same}
    return next((split for split in ("test", "val", "train") if split in own), None)


def name_key(asset: Asset, config: TogetherConfig) -> str | None:
    """What an asset's file name says about whom it belongs to; None if it says nothing."""
    match = re.search(config.pattern, asset.item.name) if config.pattern else None
    if match is None:
        return None
    return str(match[1]) if match.re.groups and match[1] is not None else match[0]


def leaks(usable: Sequence[Asset], config: TogetherConfig) -> list[tuple[Asset, Asset]]:
    """Pairs that are alike, or of one group, and yet ended on different sides: looked for anew, after the split."""
    pairs = [(usable[a], usable[b]) for a, b in _suspects(usable, config)]
    return [(one, other) for one, other in pairs if one.split != other.split]


def _suspects(usable: Sequence[Asset], config: TogetherConfig) -> Iterator[tuple[int, int]]:
    for keys in (
        [asset.facts.sha256 for asset in usable],
        [name_key(asset, config) for asset in usable],
    ):
        first: dict[str, int] = {}
        for member, key in enumerate(keys):
            if key is not None and first.setdefault(key, member) != member:
                yield first[key], member
    tagged: dict[str, int] = {}
    for member, asset in enumerate(usable):
        for tag in _tags(asset, config):
            if tagged.setdefault(tag, member) != member:
                yield tagged[tag], member
    if config.near_duplicates >= 0:
        seen = set()
        for one, other in near_duplicates([asset.facts.phash for asset in usable], config.near_duplicates):
            pair = min(one, other), max(one, other)
            if usable[one].split != usable[other].split and pair not in seen:
                seen.add(pair)
                yield pair


def _tags(asset: Asset, config: TogetherConfig) -> list[str]:
    return [tag for tag in asset.item.tags if config.tags and tag.startswith(config.tags)]
