"""Groups of images that must be in one split, and whether they are."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence

from handful_trainer.dataset.inspection.phash import near_duplicates
from handful_trainer.dataset.preparation.assets import Asset
from handful_trainer.dataset.settings import TogetherConfig
from handful_trainer.dataset.sources.base import SPLITS, SplitName


class UnionFind:
    """A partition of members 0 … size - 1, joined step by step (disjoint sets)."""

    def __init__(self, size: int) -> None:
        self._parents = list(range(size))

    def find(self, member: int) -> int:
        """The member that stands for a set."""
        parents = self._parents
        while parents[member] != member:
            parents[member] = parents[parents[member]]  # Path halving: keeps the trees flat.
            member = parents[member]
        return member

    def join(self, one: int, other: int) -> None:
        """Make the sets of two members one."""
        self._parents[self.find(one)] = self.find(other)

    def join_same(self, keys: Iterable[Hashable]) -> None:
        """Join the members that have the same key; None is no key."""
        first: dict[Hashable, int] = {}
        for member, key in enumerate(keys):
            if key is not None:
                self.join(member, first.setdefault(key, member))

    def sets(self) -> list[list[int]]:
        """All sets, each in the order of its members."""
        found: dict[int, list[int]] = defaultdict(list)
        for member in range(len(self._parents)):
            found[self.find(member)].append(member)
        return sorted(found.values())


def group_assets(usable: Sequence[Asset], config: TogetherConfig) -> list[list[Asset]]:
    """Groups of usable assets that must be in one split.

    Near-duplicates that the source itself put into different splits stay there: see `leaks`.
    """
    groups = UnionFind(len(usable))
    groups.join_same(asset.facts.sha256 for asset in usable)
    if config.near_duplicates >= 0:
        for one, other in _near_duplicates_by_split(usable, config.near_duplicates):
            groups.join(one, other)
    groups.join_same(name_key(asset, config) for asset in usable)
    groups.join_same(asset.item.group or None for asset in usable)
    for tag in sorted({tag for asset in usable for tag in _group_tags(asset, config)}):
        groups.join_same(True if tag in asset.item.tags else None for asset in usable)
    return [[usable[member] for member in members] for members in groups.sets()]


def _near_duplicates_by_split(usable: Sequence[Asset], distance: int) -> Iterator[tuple[int, int]]:
    """Indices of near-duplicates within each split of the source."""
    # Each split alone: equal hashes come as a chain, which an image of another split must not interrupt.
    for split in SPLITS:  # Images without a split of their own are shared out together with the training images.
        indices = [index for index, asset in enumerate(usable) if (asset.item.split or "train") == split]
        for one, other in near_duplicates([usable[index].facts.phash for index in indices], distance):
            yield indices[one], indices[other]


def name_key(asset: Asset, config: TogetherConfig) -> str | None:
    """The group that an asset's file name says, by `config.pattern`; None if it says none."""
    match = re.search(config.pattern, asset.item.name) if config.pattern else None
    if match is None:
        return None
    return str(match[1]) if match.re.groups and match[1] is not None else match[0]


def named_groups(asset: Asset, config: TogetherConfig) -> list[tuple[str, str]]:
    """The groups that an asset is in by its name, or because the source says so; near-duplicates are not looked at."""
    key = name_key(asset, config)
    found = [("name", key)] if key is not None else []
    return [*found, ("group", asset.item.group)] if asset.item.group else found


def source_leaks(usable: Sequence[Asset], config: TogetherConfig) -> dict[tuple[SplitName, SplitName], int]:
    """How many images of the source's own val and test are of a named group that a split before it has, too.

    Returns:
        By the image's split and the other one.
    """
    groups: dict[SplitName, list[set[tuple[str, str]]]] = {
        split: [set(named_groups(asset, config)) for asset in usable if asset.item.split == split] for split in SPLITS
    }
    all_of = {split: set[tuple[str, str]]().union(*groups[split]) for split in SPLITS}
    pairs = [(split, before) for index, split in enumerate(SPLITS) for before in SPLITS[:index]]
    found = {
        (split, before): sum(not keys.isdisjoint(all_of[before]) for keys in groups[split]) for split, before in pairs
    }
    return {pair: images for pair, images in found.items() if images}


def leaks(usable: Sequence[Asset], config: TogetherConfig) -> list[tuple[Asset, Asset]]:
    """Pairs of one group, or near-duplicates, that ended in different splits: looked for anew, after the split."""
    pairs = [(usable[a], usable[b]) for a, b in _pairs_to_keep_together(usable, config)]
    return [(one, other) for one, other in pairs if one.split != other.split]


def _pairs_to_keep_together(usable: Sequence[Asset], config: TogetherConfig) -> Iterator[tuple[int, int]]:
    """Indices: the first image of each content, name, group and tag with every other of it, then near-duplicates."""
    contents, names = [asset.facts.sha256 for asset in usable], [name_key(asset, config) for asset in usable]
    for keys in (contents, names, [asset.item.group or None for asset in usable]):
        first: dict[str, int] = {}
        for index, key in enumerate(keys):
            if key is not None and first.setdefault(key, index) != index:
                yield first[key], index
    first_tagged: dict[str, int] = {}
    for index, asset in enumerate(usable):
        for tag in _group_tags(asset, config):
            if first_tagged.setdefault(tag, index) != index:
                yield first_tagged[tag], index
    if config.near_duplicates >= 0:
        seen = set()
        for one, other in near_duplicates([asset.facts.phash for asset in usable], config.near_duplicates):
            pair = min(one, other), max(one, other)
            if usable[one].split != usable[other].split and pair not in seen:
                seen.add(pair)
                yield pair


def find_alike(asset: Asset, others: Sequence[Asset], config: TogetherConfig) -> Asset | None:
    """The first of some assets that belongs together with this one by itself, not by way of a third; None if none does.

    Args:
        asset: a usable one.
        others: usable ones.
        config: what makes images alike.
    """
    key, tags = name_key(asset, config), set(_group_tags(asset, config))
    for other in others:
        if asset.facts.sha256 == other.facts.sha256 or (key is not None and key == name_key(other, config)):
            return other
        if asset.item.group and asset.item.group == other.item.group:
            return other
        if not tags.isdisjoint(_group_tags(other, config)):
            return other
        near = min(asset.facts.phash, other.facts.phash) >= 0 and config.near_duplicates >= 0
        if near and (asset.facts.phash ^ other.facts.phash).bit_count() <= config.near_duplicates:
            return other
    return None


def _group_tags(asset: Asset, config: TogetherConfig) -> list[str]:
    return [tag for tag in asset.item.tags if config.tags and tag.startswith(config.tags)]
