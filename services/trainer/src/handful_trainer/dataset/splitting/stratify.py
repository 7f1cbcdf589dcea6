"""Sharing images out among train, val and test."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from handful_trainer.dataset.sources.base import SPLITS, SplitName

_BY_WORTH: tuple[SplitName, ...] = ("train", "test", "val")
"""Which split goes first when a class has too few images for all three."""


class Group(NamedTuple):
    """Images that must stay together."""

    size: int
    """How many images."""
    labels: frozenset[int]
    """Classes that they show; empty for images without boxes."""
    own: SplitName | None = None
    """The split that the source put them in."""
    shows: tuple[tuple[int, int], ...] = ()
    """How many images show each class, those without boxes under -1; if not given, all images show all `labels`."""

    def counts(self) -> tuple[tuple[int, int], ...]:
        """Images by class."""
        return self.shows or tuple((label, self.size) for label in self.labels or (-1,))


def split_groups(groups: Sequence[Group], fractions: Mapping[SplitName, float], seed: int) -> list[SplitName]:
    """The split of each group.

    A source's own splits are kept. Splits that it lacks are taken from its training images, in the fractions that they
    have to train; without any split of its own all is shared out by the fractions.
    """
    own = {group.own for group in groups if group.own}
    result: list[SplitName] = [group.own or "train" for group in groups]
    open_splits = [split for split in SPLITS if split == "train" or split not in own]
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
    chance = random.Random(seed)  # noqa: S311 - a reproducible choice, nothing secret
    # Large groups first, while there is room for them: the small ones make up the rest.
    order = sorted(chance.sample(range(len(groups)), len(groups)), key=lambda index: -groups[index].size)
    members: dict[int, list[int]] = defaultdict(list)
    for index in order:
        for label, _ in groups[index].counts():
            members[label].append(index)
    totals = Counter[int]()
    for group in groups:
        for label, images in group.counts():
            totals[label] += images
    want = {label: _quotas(totals[label], fractions) for label in members}
    want_any = {split: fraction * sum(group.size for group in groups) for split, fraction in fractions.items()}
    splits = [split for split in SPLITS if fractions[split] > 0]
    result: dict[int, SplitName] = {}
    for label in _rarest_first(members):
        for index in members[label]:
            if index in result:
                continue
            lacks = want[label]
            result[index] = max([(lacks[split], want_any[split], split) for split in splits])[2]
            _take(groups[index], result[index], want, want_any)
    assigned = [result[index] for index in range(len(groups))]
    _fill_empty(groups, assigned, splits)
    return assigned


def _rarest_first(members: Mapping[int, Sequence[int]]) -> Iterable[int]:
    """Labels by how many unassigned groups show them, looked at again after each one."""
    left = {label: set(found) for label, found in members.items()}
    while left:
        label = min(left, key=lambda name: (len(left[name]), name))
        yield label
        done = left.pop(label)
        for others in left.values():
            others.difference_update(done)


def _take(
    group: Group, split: SplitName, want: Mapping[int, dict[SplitName, float]], want_any: dict[SplitName, float]
) -> None:
    for label, images in group.counts():
        want[label][split] -= images
    want_any[split] -= group.size


def _quotas(total: int, fractions: Mapping[SplitName, float]) -> dict[SplitName, float]:
    """Whole images for each split: the nearest to the fractions, at least one each while there are enough."""
    splits = [split for split in _BY_WORTH if fractions[split] > 0]
    quotas: dict[SplitName, float] = dict.fromkeys(SPLITS, 0)
    for split in splits[:total]:
        quotas[split] = max(1, math.floor(fractions[split] * total))
    while (over := sum(quotas.values()) - total) != 0:
        lack = {split: fractions[split] * total - quotas[split] for split in splits if over < 0 or quotas[split] > 1}
        split = min(lack, key=lambda name: lack[name]) if over > 0 else max(lack, key=lambda name: lack[name])
        quotas[split] += 1 if over < 0 else -1
    return quotas


def _fill_empty(groups: Sequence[Group], assigned: list[SplitName], splits: Sequence[SplitName]) -> None:
    """Give a split that got nothing one group of a split that has several: the one whose classes are least missed."""
    for split in splits:
        if split in assigned:
            continue
        rich = max(splits, key=assigned.count)
        if assigned.count(rich) > 1:
            index = min(
                (i for i, own in enumerate(assigned) if own == rich),
                key=lambda i: (groups[i].size, len(groups[i].labels)),
            )
            assigned[index] = split
