"""Groups of images that must be in one split, and whether they are."""

from __future__ import annotations

import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from handful_trainer.dataset.errors import EmptyDatasetError
from handful_trainer.dataset.inspection.phash import near_duplicates
from handful_trainer.dataset.preparation.assets import Asset
from handful_trainer.dataset.settings import DatasetConfig, TogetherConfig
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


def assign_splits(assets: Sequence[Asset], config: DatasetConfig) -> list[Asset]:
    """Put every usable asset into a split; those of one group into the same.

    Raises:
        EmptyDatasetError: names or tags leave fewer groups than there are splits.
    """
    usable = [asset for asset in assets if asset.outcome == "usable"]
    grouped = group_assets(usable, config.keep_together)
    if len(grouped) < len(SPLITS):  # All frames of one short video, say: better a split with a warning than none.
        grouped = group_assets(usable, config.keep_together.model_copy(update={"near_duplicates": -1}))
    if len(grouped) < len(SPLITS):
        raise EmptyDatasetError(
            f"what belongs together makes {len(grouped)} groups, train, val and test need at least one each",
            "make dataset.keep_together.pattern or .tags finer, or add images",
        )
    shares = config.split
    fractions: dict[SplitName, float] = {"train": shares.train, "val": shares.val, "test": shares.test}
    splits = split_groups([_group(members) for members in grouped], fractions, config.seed)
    split_by_id = {asset.item.id: split for members, split in zip(grouped, splits, strict=True) for asset in members}
    return [asset._replace(split=split_by_id.get(asset.item.id)) for asset in assets]


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


def _group(members: Sequence[Asset]) -> Group:
    if len(members) == 1:  # Nearly all are.
        labels = frozenset([box.class_id for box in members[0].kept])
        return Group(1, labels, members[0].item.split)
    images = Counter(class_id for asset in members for class_id in {box.class_id for box in asset.kept} or (NO_LABEL,))
    return Group(
        size=len(members),
        labels=frozenset(images) - {NO_LABEL},
        source_split=_source_split(members),
        images_by_label=tuple(sorted(images.items())),
    )


def _source_split(members: Sequence[Asset]) -> SplitName | None:
    """Where the source has them. If it has them in several splits, the training split gives way."""
    splits = {asset.item.split for asset in members}
    return next((split for split in ("test", "val", "train") if split in splits), None)


def name_key(asset: Asset, config: TogetherConfig) -> str | None:
    """The group that an asset's file name says, by `config.pattern`; None if it says none."""
    match = re.search(config.pattern, asset.item.name) if config.pattern else None
    if match is None:
        return None
    return str(match[1]) if match.re.groups and match[1] is not None else match[0]


def leaks(usable: Sequence[Asset], config: TogetherConfig) -> list[tuple[Asset, Asset]]:
    """Pairs of one group, or near-duplicates, that ended in different splits: looked for anew, after the split."""
    pairs = [(usable[a], usable[b]) for a, b in _pairs_to_keep_together(usable, config)]
    return [(one, other) for one, other in pairs if one.split != other.split]


def _pairs_to_keep_together(usable: Sequence[Asset], config: TogetherConfig) -> Iterator[tuple[int, int]]:
    """Indices: the first image of each content, name and tag with every other of it, then near-duplicates."""
    for keys in ([asset.facts.sha256 for asset in usable], [name_key(asset, config) for asset in usable]):
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


def _group_tags(asset: Asset, config: TogetherConfig) -> list[str]:
    return [tag for tag in asset.item.tags if config.tags and tag.startswith(config.tags)]


NO_LABEL = -1
"""Stands for the class of images without boxes."""
_PRIORITY: tuple[SplitName, ...] = ("train", "test", "val")
"""Which split comes first when a class has too few images for all three."""


class Group(NamedTuple):
    """Images that must be in one split."""

    size: int
    """How many images."""
    labels: frozenset[int]
    """Classes that they show; empty for images without boxes."""
    source_split: SplitName | None = None
    """The split that the source put them in."""
    images_by_label: tuple[tuple[int, int], ...] = ()
    """(class, images that show it), those without boxes under `NO_LABEL`. If empty, all images show all `labels`."""

    def counts(self) -> tuple[tuple[int, int], ...]:
        """Images by class."""
        return self.images_by_label or tuple((label, self.size) for label in self.labels or (NO_LABEL,))


def split_groups(groups: Sequence[Group], fractions: Mapping[SplitName, float], seed: int) -> list[SplitName]:
    """The split of each group.

    A source's own splits are kept. Splits that it lacks are taken from its training images, in the fractions that they
    have to train; without any split of its own all is shared out by the fractions.
    """
    present = {group.source_split for group in groups if group.source_split}
    result: list[SplitName] = [group.source_split or "train" for group in groups]
    open_splits = [split for split in SPLITS if split == "train" or split not in present]
    pool = [index for index, split in enumerate(result) if split == "train"]
    if open_splits == ["train"] or not pool:
        return result
    total = sum(fractions[split] for split in open_splits)
    shares: dict[SplitName, float] = {s: fractions[s] / total if s in open_splits else 0 for s in SPLITS}
    for index, split in zip(pool, stratify([groups[i] for i in pool], shares, seed), strict=True):
        result[index] = split
    return result


def stratify(groups: Sequence[Group], fractions: Mapping[SplitName, float], seed: int) -> list[SplitName]:
    """Share groups out so that every class comes into every split in the same proportion, as far as that can be.

    Iterative stratification (Sechidis, Tsoumakas, Vlahavas: On the Stratification of Multi-Label Data, 2011): the
    rarest class first, each image to the split that lacks most of this class. Two changes: what a split should get is
    rounded to whole images, at least one where the class has enough; images without boxes are a class of their own.

    Args:
        groups: what is shared out; their order matters to the result, so sort them by something that stays.
        fractions: of each split; 0 for a split that gets nothing.
        seed: decides between equals.
    """
    rng = random.Random(seed)  # noqa: S311 - a reproducible choice, nothing secret
    # Large groups first, while there is room for them: the small ones make up the rest.
    order = sorted(rng.sample(range(len(groups)), len(groups)), key=lambda index: -groups[index].size)
    groups_by_label: dict[int, list[int]] = defaultdict(list)
    for index in order:
        for label, _ in groups[index].counts():
            groups_by_label[label].append(index)
    totals = Counter[int]()
    for group in groups:
        for label, images in group.counts():
            totals[label] += images
    lacking = {label: _largest_remainder(totals[label], fractions) for label in groups_by_label}
    lacking_any = {split: fraction * sum(group.size for group in groups) for split, fraction in fractions.items()}
    splits = [split for split in SPLITS if fractions[split] > 0]
    result: dict[int, SplitName] = {}
    for label in _rarest_first(groups_by_label):
        for index in groups_by_label[label]:
            if index in result:
                continue
            lacks = lacking[label]
            result[index] = max([(lacks[split], lacking_any[split], split) for split in splits])[2]
            _subtract(groups[index], result[index], lacking, lacking_any)
    assigned = [result[index] for index in range(len(groups))]
    _fill_empty_splits(groups, assigned, splits)
    return assigned


def _rarest_first(groups_by_label: Mapping[int, Sequence[int]]) -> Iterable[int]:
    """Labels by how many unassigned groups show them, counted again after each one."""
    unassigned = {label: set(indices) for label, indices in groups_by_label.items()}
    while unassigned:
        label = min(unassigned, key=lambda name: (len(unassigned[name]), name))
        yield label
        done = unassigned.pop(label)
        for others in unassigned.values():
            others.difference_update(done)


def _subtract(
    group: Group, split: SplitName, lacking: Mapping[int, dict[SplitName, float]], lacking_any: dict[SplitName, float]
) -> None:
    """Take a group off what its split lacks."""
    for label, images in group.counts():
        lacking[label][split] -= images
    lacking_any[split] -= group.size


def _largest_remainder(total: int, fractions: Mapping[SplitName, float]) -> dict[SplitName, float]:
    """Whole images for each split by the largest remainder method, at least one each if there are enough.

    Each split first gets its fraction rounded down. What is left over goes one by one to the split that is furthest
    below its fraction. If the minimum of one gave out too many, the split that is furthest above its fraction gives.
    """
    splits = [split for split in _PRIORITY if fractions[split] > 0]
    quotas: dict[SplitName, float] = dict.fromkeys(SPLITS, 0)
    for split in splits[:total]:
        quotas[split] = max(1, math.floor(fractions[split] * total))
    while (over := sum(quotas.values()) - total) != 0:
        # Never below one, which is why a split that has one does not give.
        lack = {split: fractions[split] * total - quotas[split] for split in splits if over < 0 or quotas[split] > 1}
        split = min(lack, key=lambda name: lack[name]) if over > 0 else max(lack, key=lambda name: lack[name])
        quotas[split] += 1 if over < 0 else -1
    return quotas


def _fill_empty_splits(groups: Sequence[Group], assigned: list[SplitName], splits: Sequence[SplitName]) -> None:
    """Give a split that got nothing one group of the largest split: the smallest, with the fewest classes."""
    for split in splits:
        if split in assigned:
            continue
        largest = max(splits, key=assigned.count)
        if assigned.count(largest) > 1:
            index = min(
                (i for i, current in enumerate(assigned) if current == largest),
                key=lambda i: (groups[i].size, len(groups[i].labels)),
            )
            assigned[index] = split
