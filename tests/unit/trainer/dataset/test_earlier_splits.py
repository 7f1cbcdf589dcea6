"""Images stay in their split when a dataset grows, shrinks or is labelled anew, and no split sees another's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock, Timeout
from hypothesis import given, settings
from hypothesis import strategies as st

from handful_core.errors import DataError
from handful_trainer.dataset.inspection.facts import ImageFacts
from handful_trainer.dataset.preparation.assets import Asset
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import ACCEPTED, RawItem, SplitName
from handful_trainer.dataset.splitting.assign import Placed, assign_splits
from handful_trainer.dataset.splitting.earlier import SplitHistory, assigned_splits, read_splits, write_splits
from handful_trainer.dataset.splitting.groups import find_alike
from handful_trainer.tasks.detection.labels import Box, CleanBoxes

FAR = 0x0F0F_0F0F_0F0F_0F0F


def asset(number: int, label: int = 0, *, phash: int = -1, own: SplitName | None = None, name: str = "") -> Asset:
    item = RawItem(f"{number:04d}", None, name or f"{number}.jpg", ACCEPTED, split=own)
    return Asset(item, ImageFacts(sha256=f"{number:064x}", phash=phash), CleanBoxes((Box(label, 1, 1, 9, 9),)))


def placed(splits: Mapping[int, SplitName]) -> dict[str, Placed]:
    return {f"{number:064x}": Placed(split) for number, split in splits.items()}


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
    known = placed({100: "train", 101: "test", 102: "train"})
    tied = [asset(100, phash=0), asset(101, phash=0xFF), asset(102, phash=FAR), asset(103, phash=0x0F)]
    found = {a.item.id: a for a in assign_splits([*base, *tied], config(), known)}
    assert (found["0103"].split, found["0101"].split, found["0102"].split) == ("test", "test", "train")
    assert (found["0100"].split, found["0100"].outcome, found["0100"].alike) == (None, "alike", "0103")
    again = assigned_splits(found.values(), known)
    assert again[f"{100:064x}"].split == "train"
    assert splits_of(assign_splits([*base, *tied], config(), again)) == {i: a.split for i, a in found.items()}


def test_only_what_is_alike_itself_is_left_out_not_all_that_a_chain_leads_to() -> None:
    chain = [asset(100 + step, phash=(1 << (3 * step)) - 1) for step in range(6)]  # Neighbours differ in three bits.
    known = placed({101: "train", 102: "train", 103: "train", 104: "test", 105: "test"})
    base = [asset(n) for n in range(40)]
    found = {a.item.id: a for a in assign_splits([*base, *chain], config(), known)}
    assert [found[f"{100 + step:04d}"].outcome for step in range(6)] == [
        "usable", "alike", "usable", "alike", "usable", "usable",
    ]  # fmt: skip


def test_the_sources_own_split_is_stronger() -> None:
    known = placed(dict.fromkeys(range(36), "train") | dict.fromkeys(range(36, 40), "val"))
    own: list[SplitName] = ["train"] * 20 + ["test"] * 10 + ["train"] * 10
    found = assign_splits([asset(n, own=own[n]) for n in range(40)], config(), known)
    assert [a.split for a in found] == ["train"] * 20 + ["test"] * 10 + ["train"] * 6 + ["val"] * 4


def test_an_identical_image_that_the_source_puts_into_its_test_ends_a_training_image() -> None:
    twin = asset(500, own="test", phash=1)
    old = asset(501, own="train", phash=2)._replace(facts=twin.facts)
    base = [asset(n, own="train" if n < 30 else "test") for n in range(40)]
    known = placed(dict.fromkeys([500, *range(28)], "train") | {28: "val", 29: "val"})
    found = assign_splits([*base, twin, old], config(), known)
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
    known: dict[str, Placed] = {}
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
            before = known.get(each.facts.sha256)
            assert each.split in {None, before.split if before else each.split}
        assert {each.split for each in found} >= {"train", "val", "test"}
        for split in ("train", "val", "test"):
            others = [each for each in found if each.split and each.split != split]
            for each in found:
                if each.split == split:
                    assert find_alike(each, others, settings_.keep_together) is None
        known |= assigned_splits(found, known)


def history(settings: DatasetConfig, home: Path) -> dict[str, Placed]:
    with SplitHistory.locked(settings, home) as found:
        return dict(found.earlier)


def test_a_history_is_read_as_it_was_written(tmp_path: Path) -> None:
    with SplitHistory.locked(config(), tmp_path) as empty:
        assert empty.earlier == {}
        found = assign_splits([asset(n, phash=n if n % 2 else -1) for n in range(20)], config())
        empty.remember(found)
    assert history(config(), tmp_path) == assigned_splits(found, {})
    assert history(config(seed=1), tmp_path) == {}
    assert history(config(split={"train": 0.7, "val": 0.2, "test": 0.1}), tmp_path) == {}
    assert history(config(split={"keep": "none"}), tmp_path) == {}


def test_another_process_waits_until_this_one_has_remembered(tmp_path: Path) -> None:
    with SplitHistory.locked(config(), tmp_path) as ours, pytest.raises(Timeout):
        FileLock(f"{ours.path}.lock", timeout=0, is_singleton=False).acquire()
    assert ours.path is not None
    FileLock(f"{ours.path}.lock", timeout=0, is_singleton=False).acquire().lock.release()


def test_what_names_no_file_is_refused_as_a_setting() -> None:
    with pytest.raises(ValueError, match="keep"):
        config(split={"keep": "a\0b"})


def test_a_pinned_split_changes_nothing_of_what_is_known_here(tmp_path: Path) -> None:
    with SplitHistory.locked(config(), tmp_path) as ours:
        ours.remember([asset(1)._replace(split="test")])
    theirs = tmp_path / "theirs.csv"
    write_splits(theirs, placed({1: "train", 2: "val"}))
    with SplitHistory.locked(config(split={"keep": str(theirs)}), tmp_path) as pinned:
        assert pinned.earlier == placed({1: "train", 2: "val"})
        pinned.remember([asset(1)._replace(split="train"), asset(2)._replace(split="val")])
    assert history(config(), tmp_path) == placed({1: "test", 2: "val"})


def test_a_pinned_split_of_other_images_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    theirs = tmp_path / "theirs.csv"
    write_splits(theirs, placed(dict.fromkeys(range(10, 20), "train")))
    with SplitHistory.locked(config(split={"keep": str(theirs)}), tmp_path) as pinned:
        with pytest.raises(DataError, match=r"theirs\.csv has none of the 10 images"):
            pinned.check([asset(n) for n in range(10)])
        pinned.check([asset(n) for n in range(8, 12)])
        assert "theirs.csv" not in capsys.readouterr().err
        pinned.check([asset(n) for n in range(7, 11)])
        assert "has 1 of the 4 images alone" in capsys.readouterr().err


def test_an_image_that_was_saved_anew_is_known_again() -> None:
    first = assign_splits([asset(n, phash=(n * 0x9E3779B97F4A7C15) % 2**63) for n in range(60)], config())
    anew = [found._replace(split=None, facts=found.facts._replace(sha256="a" * 60 + found.item.id)) for found in first]
    anew = [found._replace(facts=found.facts._replace(phash=found.facts.phash ^ 0b101)) for found in anew]
    assert splits_of(assign_splits(anew, config(seed=3), assigned_splits(first, {}))) == splits_of(first)
    assert splits_of(assign_splits(anew, config(seed=3))) != splits_of(first)


@pytest.mark.parametrize("gone", ["train", "val", "test"])
def test_a_split_whose_images_are_gone_is_refused_not_filled_from_another(gone: SplitName) -> None:
    first = assign_splits([asset(n) for n in range(40)], config())
    left = [found._replace(split=None) for found in first if found.split != gone]
    with pytest.raises(DataError, match=rf"no image is left for {gone}: those .* gone .*dataset\.split\.keep=none"):
        assign_splits(left, config(), assigned_splits(first, {}))


def test_a_source_that_puts_the_same_images_into_two_splits_is_refused() -> None:
    train = [asset(n, own="train") for n in range(20)]
    copies = [asset(n + 100, own="val")._replace(facts=asset(n).facts) for n in range(20)]
    with pytest.raises(DataError, match=r"no image is left for train: .* puts the same ones into other splits"):
        assign_splits([*train, *copies], config())


def test_tags_that_come_later_and_leave_no_image_for_a_split_are_refused() -> None:
    first = assign_splits([asset(n) for n in range(24)], config())
    tagged = [
        found._replace(split=None, item=found.item._replace(tags=("session:1",) if number < 22 else ()))
        for number, found in enumerate(first)
    ]
    together = config(keep_together={"tags": "session:"})
    with pytest.raises(DataError, match=r"no image is left for \w+: \d+ images are left out, since they belong"):
        assign_splits(tagged, together, assigned_splits(first, {}))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "has not the columns sha256,split,phash"),
        ("a,b\n", "has not the columns sha256,split,phash"),
        ("sha256,split\nabc,train\n", "line 2 is no sha256 and split"),
        (f"sha256,split,phash\n{1:064x},train,12\n", "line 2 is no sha256 and split"),
        (f"sha256,split,phash\n{1:064x},train\n", "line 2 is no sha256 and split"),
        (f"sha256,split\n{1:064x},train\n{1:064x},test\n", "line 3 contradicts another line"),
        (f"sha256,split\n{1:064x},exam\n", "line 2 is no sha256 and split"),
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
        history(config(split={"keep": str(tmp_path / "gone.csv")}), tmp_path)


def test_a_folder_of_its_own_remembers_and_knows_nothing_of_handfuls(tmp_path: Path) -> None:
    home, own = tmp_path / "home", tmp_path / "own"
    with SplitHistory.locked(config(), home) as theirs:
        theirs.remember([asset(1)._replace(split="test")])
    with SplitHistory.locked(config(), home, own) as ours:
        assert ours.earlier == {}
        ours.remember([asset(1)._replace(split="train")])
    assert ours.path is not None
    assert ours.path.parent == own
    assert history(config(), home) == placed({1: "test"})
    with SplitHistory.locked(config(), home, own) as again:
        assert again.earlier == placed({1: "train"})
