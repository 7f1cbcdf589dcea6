from __future__ import annotations

from typing import Any

import pytest

from handful_core.errors import DataError
from handful_trainer.dataset.inspection.facts import ImageFacts
from handful_trainer.dataset.preparation.assets import Asset
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import ACCEPTED, RawItem, SplitName
from handful_trainer.dataset.splitting.assign import assign_splits
from handful_trainer.dataset.splitting.groups import group_assets, leaks
from handful_trainer.tasks.detection.labels import Box, CleanBoxes


def asset(
    number: int, *, name: str = "", phash: int = -1, tags: tuple[str, ...] = (), own: SplitName | None = None
) -> Asset:
    item = RawItem(f"{number:03d}", None, name or f"{number}.jpg", ACCEPTED, split=own, tags=tags)
    boxes = CleanBoxes((Box(number % 3, 1, 1, 9, 9),))
    return Asset(item, ImageFacts(sha256=str(number), width=64, height=48, phash=phash), boxes)


def config(**together: Any) -> DatasetConfig:
    return DatasetConfig.model_validate({"source": "sample", "keep_together": together})


def torn(assets: list[Asset], key: Any) -> bool:
    sides: dict[Any, set[str | None]] = {}
    for found in assets:
        sides.setdefault(key(found), set()).add(found.split)
    return any(len(side) > 1 for side in sides.values())


def test_near_duplicates_stay_on_one_side() -> None:
    assets = [asset(n, phash=(n // 5) * 0x0101010101010101 ^ (1 << (n % 5))) for n in range(200)]
    together = assign_splits(assets, config())
    assert not torn(together, lambda found: int(found.item.id) // 5)
    assert {found.split for found in together} == {"train", "val", "test"}
    assert leaks(together, config().keep_together) == []
    apart = assign_splits(assets, config(near_duplicates=-1))
    assert torn(apart, lambda found: int(found.item.id) // 5)
    assert leaks(apart, config().keep_together)


def test_names_tell_what_stays_together() -> None:
    assets = [asset(n, name=f"person-{n % 20}_shot-{n}.jpg") for n in range(200)]
    for pattern in (r"^(person-\d+)_", r"person-\d+"):
        together = assign_splits(assets, config(pattern=pattern))
        assert not torn(together, lambda found: found.item.name.split("_")[0])
        assert leaks(together, config(pattern=pattern).keep_together) == []
    assert torn(assign_splits(assets, config()), lambda found: found.item.name.split("_")[0])


def test_tags_tell_what_stays_together() -> None:
    assets = [asset(n, tags=(f"session:{n % 20}", "reviewed")) for n in range(200)]
    together = assign_splits(assets, config(tags="session:"))
    assert not torn(together, lambda found: found.item.tags[0])
    assert leaks(assign_splits(assets, config()), config(tags="session:").keep_together)


def test_a_group_that_spans_the_sources_own_splits_is_moved_near_duplicates_are_told() -> None:
    own: list[SplitName] = ["train", "val", "test"]
    assets = [asset(n, name=f"p{n % 10}_{n}.jpg", phash=n % 10 * 0x0101010101010101, own=own[n % 3]) for n in range(60)]
    kept = assign_splits(assets, config())
    assert all(found.split == found.item.split for found in kept)
    assert leaks(kept, config().keep_together)
    with pytest.raises(DataError, match="no image is left for train"):  # Every person is in the test, too.
        assign_splits(assets, config(pattern=r"^p\d_"))
    assets += [asset(n, own="train") for n in range(60, 70)]
    moved = assign_splits(assets, config(pattern=r"^p\d_"))
    assert leaks(moved, config(pattern=r"^p\d_").keep_together) == []


def test_near_duplicates_on_one_side_belong_together_whatever_lies_between_them_on_another() -> None:
    own: list[SplitName | None] = ["train", "val", "train", "val", None]
    assets = [asset(n, phash=7, own=side) for n, side in enumerate(own)]
    assets += [asset(n, phash=6, own=side) for n, side in enumerate(["val", "train"], len(own))]
    found = group_assets(assets, config().keep_together)
    assert [[int(one.item.id) for one in same] for same in found] == [[0, 2, 4, 6], [1, 3, 5]]


def test_one_long_film_is_split_nevertheless() -> None:
    film = assign_splits([asset(n, phash=7) for n in range(30)], config())
    assert {found.split for found in film} == {"train", "val", "test"}
    assert leaks(film, config().keep_together)


def test_too_coarse_a_key_is_refused() -> None:
    with pytest.raises(DataError, match="what belongs together makes 2 groups"):
        assign_splits([asset(n, name=f"{n % 2}.jpg") for n in range(30)], config(pattern=r"^\d"))


def test_a_pattern_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="it is not a regular expression"):
        config(pattern="(")
