from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handful_trainer.dataset.sources.base import SPLITS, SplitName
from handful_trainer.dataset.splitting.stratify import Group, split_groups, stratify

FRACTIONS: dict[SplitName, float] = {"train": 0.8, "val": 0.1, "test": 0.1}


def groups(*labels: set[int], own: SplitName | None = None) -> list[Group]:
    return [Group(1, frozenset(found), own) for found in labels]


def test_every_class_comes_into_every_split_in_proportion() -> None:
    chance = random.Random(1)  # noqa: S311 - the same every time
    found = groups(*[set(chance.choices(range(5), k=chance.randint(0, 3))) for _ in range(1000)])
    sides = stratify(found, FRACTIONS, seed=3)
    for label in range(5):
        counted = Counter(side for side, group in zip(sides, found, strict=True) if label in group.labels)
        total = counted.total()
        assert counted["val"] == pytest.approx(total * 0.1, abs=total * 0.02)
        assert counted["test"] == pytest.approx(total * 0.1, abs=total * 0.02)
    assert Counter(sides)["train"] == pytest.approx(800, abs=15)


@pytest.mark.parametrize(("members", "sides"), [(3, {"train", "val", "test"}), (2, {"train", "test"}), (1, {"train"})])
def test_rare_classes_are_spread_as_far_as_they_go(members: int, sides: set[str]) -> None:
    found = groups(*[{0}] * 60, *[{0, 1}] * members)
    assert {
        side for side, group in zip(stratify(found, FRACTIONS, 0), found, strict=True) if 1 in group.labels
    } == sides


def test_images_without_boxes_are_shared_out_like_a_class() -> None:
    found = groups(*[{0}] * 100, *[set()] * 20)
    counted = Counter(side for side, g in zip(stratify(found, FRACTIONS, 0), found, strict=True) if not g.labels)
    assert counted == {"train": 16, "val": 2, "test": 2}


def test_the_seed_decides_and_nothing_else() -> None:
    found = groups(*[{number % 3} for number in range(90)])
    assert stratify(found, FRACTIONS, 5) == stratify(found, FRACTIONS, 5)
    assert stratify(found, FRACTIONS, 5) != stratify(found, FRACTIONS, 6)


def test_a_class_for_each_image_still_fills_every_split() -> None:
    assert set(stratify(groups({0}, {1}, {2}), FRACTIONS, 0)) == set(SPLITS)


def test_own_splits_are_kept() -> None:
    found = [*groups({0}, {1}, own="train"), *groups({0}, own="val"), *groups({1}, own="test")]
    assert split_groups(found, FRACTIONS, 0) == ["train", "train", "val", "test"]


def test_what_a_source_lacks_is_taken_from_its_training_images() -> None:
    found = [*groups(*[{0}] * 90, own="train"), *groups(*[{0}] * 20, own="val")]
    sides = split_groups(found, FRACTIONS, 0)
    assert sides[90:] == ["val"] * 20
    assert Counter(sides[:90]) == {"train": 80, "test": 10}


_GROUPS = st.builds(
    Group,
    st.integers(1, 4),
    st.frozensets(st.integers(0, 6)),
    source_split=st.none(),
    images_by_label=st.just(()),
    earlier=st.none(),
)


@settings(deadline=None)
@given(
    st.lists(_GROUPS, min_size=3),
    st.integers(0, 9),
)
def test_every_group_has_a_side_and_no_side_is_empty(found: list[Group], seed: int) -> None:
    sides = stratify(found, FRACTIONS, seed)
    assert len(sides) == len(found)
    assert set(sides) == set(SPLITS)


def test_large_groups_leave_the_proportions_as_they_are() -> None:
    chance = random.Random(2)  # noqa: S311 - the same every time
    sizes = [chance.randint(1, 30) for _ in range(60)]
    found = [Group(size, frozenset({n % 5}), None, ((n % 5, size),)) for n, size in enumerate(sizes)]
    counted: Counter[str] = Counter()
    for side, group in zip(stratify(found, FRACTIONS, 0), found, strict=True):
        counted[side] += group.size
    assert counted["test"] == pytest.approx(sum(sizes) * 0.1, rel=0.25)
    assert counted["val"] == pytest.approx(sum(sizes) * 0.1, rel=0.25)


def test_of_a_group_only_those_count_for_a_class_that_show_it() -> None:
    mixed = [Group(20, frozenset({0, 1}), None, ((0, 19), (1, 1))) for _ in range(30)]
    sides = Counter(stratify(mixed, FRACTIONS, 0))
    assert sides == {"train": 24, "val": 3, "test": 3}
