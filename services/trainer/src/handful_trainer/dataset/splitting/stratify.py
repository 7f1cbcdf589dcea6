"""Sharing groups of images out, so that every class comes into every split in the same proportion."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from handful_trainer.dataset.sources.base import SPLITS, SplitName

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
    earlier: SplitName | None = None
    """The split that they were in before; they stay there as long as it is shared out."""

    def counts(self) -> tuple[tuple[int, int], ...]:
        """Images by class."""
        return self.images_by_label or tuple((label, self.size) for label in self.labels or (NO_LABEL,))


def split_groups(groups: Sequence[Group], fractions: Mapping[SplitName, float], seed: int) -> list[SplitName]:
    """The split of each group.

    A source's own splits are kept. Splits that it lacks are taken from its training images, in the fractions that they
    have to train; without any split of its own all is shared out by the fractions. What was in such a split before
    stays in it.
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
    rarest class first, each image to the split that lacks most of this class. Three changes: what a split should get is
    rounded to whole images, at least one where the class has enough; images without boxes are a class of their own;
    groups that were shared out before keep their split, and the others fill up what is lacking.

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
    for index in order:
        if (earlier := groups[index].earlier) in splits:
            result[index] = earlier
            _subtract(groups[index], earlier, lacking, lacking_any)
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
    """Give a split that got nothing one group of the largest split: the smallest, with the fewest classes.

    One that was shared out before stays where it is, also if a split stays empty.
    """
    for split in splits:
        if split in assigned:
            continue
        free = Counter(current for i, current in enumerate(assigned) if groups[i].earlier is None)
        largest = max(free, key=lambda name: (assigned.count(name), name), default=None)
        if largest is not None and assigned.count(largest) > 1:
            index = min(
                (i for i, current in enumerate(assigned) if current == largest and groups[i].earlier is None),
                key=lambda i: (groups[i].size, len(groups[i].labels)),
            )
            assigned[index] = split
