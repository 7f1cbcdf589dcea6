"""Images stay in their split when a dataset grows, shrinks or is labelled anew, and no split sees another's."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handful_core.errors import DataError
from handful_trainer.dataset.inspection.facts import ImageFacts
from handful_trainer.dataset.preparation.assets import Asset
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import ACCEPTED, RawItem, SplitName
from handful_trainer.dataset.splitting.assign import assign_splits
from handful_trainer.dataset.splitting.earlier import SplitHistory, assigned_splits, read_splits, write_splits
from handful_trainer.dataset.splitting.groups import find_alike
from handful_trainer.tasks.detection.labels import Box, CleanBoxes

FAR = 0x0F0F_0F0F_0F0F_0F0F


def asset(number: int, label: int = 0, *, phash: int = -1, own: SplitName | None = None, name: str = "") -> Asset:
    item = RawItem(f"{number:04d}", None, name or f"{number}.jpg", ACCEPTED, split=own)
    return Asset(item, ImageFacts(sha256=f"{number:064x}", phash=phash), CleanBoxes((Box(label, 1, 1, 9, 9),)))


def config(**changes: Any) -> DatasetConfig:
    return DatasetConfig.model_validate({"source": "sample", **changes})


def splits_of(assets: list[Asset]) -> dict[str, SplitName | None]:
    return {found.item.id: found.split for found in assets}


def test_what_is_added_moves_nothing_and_fills_up() -> None:
    first = assign_splits([asset(n, n % 4) for n in range(200)], config())
    earlier = assigned_splits(first, {})
    grown = assign_splits([asset(n, n % 4) for n in range(260)], config(), earlier)
    assert splits_of(grown) | splits_of(first) == splits_of(grown)
    anew = assign_splits([asset(n, n % 4) for n in range(260)], config())
    assert Counter(found.split for found in grown) == Counter(found.split for found in anew)
    by_label = Counter(found.kept[0].class_id for found in grown if found.split == "test")
    assert max(by_label.values()) - min(by_label.values()) <= 1


def test_what_is_removed_or_labelled_anew_moves_nothing() -> None:
    first = assign_splits([asset(n, n % 4) for n in range(200)], config())
    earlier = assigned_splits(first, {})
    fewer = assign_splits([asset(n, (n + 1) % 4) for n in range(30, 200)], config(), earlier)
    assert splits_of(first) | splits_of(fewer) == splits_of(first)


def test_a_new_image_that_ties_two_splits_goes_to_the_test_and_the_training_copy_is_left_out() -> None:
    base = [asset(n) for n in range(40)]
    known = {f"{n:064x}": split for n, split in ((100, "train"), (101, "test"), (102, "train"))}
    tied = [asset(100, phash=0), asset(101, phash=0xFF), asset(102, phash=FAR), asset(103, phash=0x0F)]
    found = {a.item.id: a for a in assign_splits([*base, *tied], config(), known)}
    assert (found["0103"].split, found["0101"].split, found["0102"].split) == ("test", "test", "train")
    assert (found["0100"].split, found["0100"].outcome, found["0100"].alike) == (None, "alike", "0103")
    again = assigned_splits(found.values(), known)
    assert again[f"{100:064x}"] == "train"
    assert splits_of(assign_splits([*base, *tied], config(), again)) == {i: a.split for i, a in found.items()}


def test_only_what_is_alike_itself_is_left_out_not_all_that_a_chain_leads_to() -> None:
    chain = [asset(100 + step, phash=(1 << (3 * step)) - 1) for step in range(6)]  # Neighbours differ in three bits.
    known: dict[str, SplitName] = {found.facts.sha256: "train" for found in chain[1:4]}
    known |= {found.facts.sha256: "test" for found in chain[4:]}
    base = [asset(n) for n in range(40)]
    found = {a.item.id: a for a in assign_splits([*base, *chain], config(), known)}
    assert [found[f"{100 + step:04d}"].outcome for step in range(6)] == [
        "usable", "alike", "usable", "alike", "usable", "usable",
    ]  # fmt: skip


def test_the_sources_own_split_is_stronger() -> None:
    known = {f"{n:064x}": "train" for n in range(40)}
    own: list[SplitName] = ["train"] * 30 + ["test"] * 10
    found = assign_splits([asset(n, own=own[n]) for n in range(40)], config(), known)
    assert [a.split for a in found[30:]] == ["test"] * 10
    assert {a.split for a in found[:30]} == {"train", "val"}  # A split that must not be empty takes from what is there.


def test_an_identical_image_that_the_source_puts_into_its_test_ends_a_training_image() -> None:
    twin = asset(500, own="test", phash=1)
    old = asset(501, own="train", phash=2)._replace(facts=twin.facts)
    base = [asset(n, own="train" if n < 30 else "test") for n in range(40)]
    found = assign_splits([*base, twin, old], config(), {twin.facts.sha256: "train"} | {
        a.facts.sha256: "train" for a in base
    })  # fmt: skip
    last = {a.item.id: a for a in found}
    assert (last["0500"].split, last["0501"].split, last["0501"].alike) == ("test", None, "0500")


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "remove", "relabel"]),
        st.lists(st.integers(0, 60), min_size=1, max_size=12),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=5,
)
_PHASHES = st.dictionaries(st.integers(0, 60), st.integers(0, 0xFFFF), max_size=40)


@settings(max_examples=200)
@given(steps=_STEPS, phashes=_PHASHES, seed=st.integers(0, 3))
def test_no_history_moves_an_image_or_lets_a_split_see_another(
    steps: list[tuple[str, list[int], int]], phashes: dict[int, int], seed: int
) -> None:
    settings_ = config(seed=seed)
    present = dict.fromkeys(range(100, 130), 0)  # These are alike to nothing.
    known: dict[str, SplitName] = {}
    for what, numbers, label in [("add", [], 0), *steps]:
        for number in numbers:
            if what == "add" or (what == "relabel" and number in present):
                present[number] = label
            elif what == "remove":
                present.pop(number, None)
        assets = [asset(n, present[n], phash=phashes.get(n, -1)) for n in sorted(present)]
        found = assign_splits(assets, settings_, known)
        for each in found:
            assert (each.split is None) == (each.outcome == "alike")
            assert each.split in {None, known.get(each.facts.sha256, each.split)}
        assert {each.split for each in found} >= {"train", "val", "test"}
        for split in ("train", "val", "test"):
            others = [each for each in found if each.split and each.split != split]
            for each in found:
                if each.split == split:
                    assert find_alike(each, others, settings_.keep_together) is None
        known |= assigned_splits(found, known)


def test_a_history_is_read_as_it_was_written(tmp_path: Path) -> None:
    history = SplitHistory.of(config(), tmp_path)
    assert history.earlier == {}
    found = assign_splits([asset(n) for n in range(20)], config())
    history.remember(found)
    assert SplitHistory.of(config(), tmp_path).earlier == assigned_splits(found, {})
    assert SplitHistory.of(config(seed=1), tmp_path).earlier == {}
    assert SplitHistory.of(config(split={"train": 0.7, "val": 0.2, "test": 0.1}), tmp_path).earlier == {}
    assert SplitHistory.of(config(split={"keep": "none"}), tmp_path).path is None


def test_a_pinned_split_changes_nothing_of_what_is_known_here(tmp_path: Path) -> None:
    ours = SplitHistory.of(config(), tmp_path)
    ours.remember([asset(1)._replace(split="test")])
    theirs = tmp_path / "theirs.csv"
    write_splits(theirs, {asset(1).facts.sha256: "train", asset(2).facts.sha256: "val"})
    pinned = SplitHistory.of(config(split={"keep": str(theirs)}), tmp_path)
    assert pinned.earlier == {asset(1).facts.sha256: "train", asset(2).facts.sha256: "val"}
    pinned.remember([asset(1)._replace(split="train"), asset(2)._replace(split="val")])
    assert SplitHistory.of(config(), tmp_path).earlier == {asset(1).facts.sha256: "test", asset(2).facts.sha256: "val"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "has not the columns sha256,split"),
        ("a,b\n", "has not the columns sha256,split"),
        ("sha256,split\nabc,train\n", "line 2 is no sha256 and split"),
        (f"sha256,split\n{1:064x},training\n", "line 2 is no sha256 and split"),
        (f"sha256,split\n{1:064x}\n", "line 2 is no sha256 and split"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "splits.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=words):
        read_splits(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.csv does not exist: dataset\.split\.keep names a splits\.csv"):
        SplitHistory.of(config(split={"keep": str(tmp_path / "gone.csv")}), tmp_path)
