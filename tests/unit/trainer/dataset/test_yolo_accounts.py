"""YOLO folders with strays, from a plan that knows nothing of the reader: nothing gets lost."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import RawBox
from handful_trainer.dataset.sources.registry import open_source

_PLACES = ("labels", "Labels", "beside", "upper", "double", "none")
"""Where an image's label file lies: labels/SPLIT, Labels/SPLIT, beside it, as .TXT, as a.jpg.txt, or nowhere."""
Accounts = dict[str, tuple[int, int, dict[str, int]]]


class Planned(NamedTuple):
    """An image and what belongs to it."""

    split: str
    suffix: str
    labels: str
    boxes: int
    also: bool
    """Does another split name it, too?"""


class Plan(NamedTuple):
    """A dataset's folder."""

    images: list[Planned]
    listed: bool
    """Are the splits lists of images, rather than folders?"""
    lost_lines: int
    doubled_lines: int
    unnamed: int
    """Images in a folder that no split names."""
    stray_labels: int
    by_system: int
    other_split: bool
    """Does data.yaml name a split of another name?"""


_IMAGES = st.builds(
    Planned,
    st.sampled_from(["train", "val", "test"]),
    st.sampled_from([".jpg", ".JPG", ".png"]),
    st.sampled_from(_PLACES),
    st.integers(0, 3),
    st.booleans(),
)
PLANS = st.builds(
    Plan,
    st.lists(_IMAGES, min_size=1, max_size=7).map(
        lambda images: [images[0]._replace(split="train", labels="labels"), *images[1:]]
    ),
    st.booleans(),
    st.integers(0, 2),
    st.integers(0, 2),
    st.integers(0, 2),
    st.integers(0, 2),
    st.integers(0, 2),
    st.booleans(),
)


def box_of(image: int, position: int) -> RawBox:
    """Left, top, width and height, in shares that are exact in binary."""
    return RawBox("hand", image / 16, position / 16, 0.25, 0.125)


def label_file(folder: Path, number: int, planned: Planned) -> Path:
    stem = f"image {number}"
    return {
        "labels": folder / "labels" / planned.split / f"{stem}.txt",
        "Labels": folder / "Labels" / planned.split / f"{stem}.txt",
        "beside": folder / "images" / planned.split / f"{stem}.txt",
        "upper": folder / "labels" / planned.split / f"{stem}.TXT",
        "double": folder / "labels" / planned.split / f"{stem}{planned.suffix}.txt",
    }[planned.labels]


def rows(number: int, planned: Planned) -> str:
    boxes = [box_of(number, position) for position in range(planned.boxes)]
    return "".join(f"0 {b.x + b.width / 2} {b.y + b.height / 2} {b.width} {b.height}\n" for b in boxes)


def touch(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def build(folder: Path, plan: Plan) -> None:
    lists: dict[str, list[str]] = {}
    for number, planned in enumerate(plan.images):
        image = f"images/{planned.split}/image {number}{planned.suffix}"
        touch(folder / image)
        if planned.labels != "none":
            touch(label_file(folder, number, planned), rows(number, planned))
        lists.setdefault(planned.split, []).append(f"./{image}")
        if planned.also:
            lists.setdefault(other_split(planned), []).append(image.replace("/", "\\"))
    lists["train"] += [f"images/gone {n}.jpg" for n in range(plan.lost_lines)]
    lists["train"] += [lists["train"][0]] * plan.doubled_lines
    for number in range(plan.unnamed):
        touch(folder / "images" / "unnamed" / f"stray {number}.jpg")
    for number in range(plan.stray_labels):
        touch(folder / "labels" / "train" / f"stray {number}.txt", "0 0.5 0.5 0.1 0.1\n")
    for number in range(plan.by_system):
        touch(folder / "images" / "train" / f"._image {number}.jpg")
        touch(folder / "labels" / "train" / f"._image {number}.txt")
    if plan.other_split:
        touch(folder / "holdout" / "kept.jpg")
    for split, lines in lists.items():
        touch(folder / f"{split}.txt", "\n".join(lines))
    ending = ".txt" if plan.listed else ""
    named = [
        f"{split}: {'' if plan.listed else 'images/'}{split}{ending}" for split in lists if exists(folder, plan, split)
    ]
    named += ["holdout: holdout"] if plan.other_split else []
    touch(folder / "data.yaml", "\n".join(["names: [hand]", *named]))


def exists(folder: Path, plan: Plan, split: str) -> bool:
    return plan.listed or (folder / "images" / split).is_dir()


def other_split(planned: Planned) -> str:
    return {"train": "val", "val": "test", "test": "train"}[planned.split]


def split_of(plan: Plan, planned: Planned) -> str:
    """The first of the splits that name an image."""
    if not (plan.listed and planned.also):
        return planned.split
    return min(planned.split, other_split(planned), key=["train", "val", "test"].index)


def expected_accounts(plan: Plan) -> Accounts:
    """By kind: how many there are, how many are used, and how many are left out for each reason."""
    images, labelled = len(plan.images), [planned for planned in plan.images if planned.labels != "none"]
    also = sum(planned.also for planned in plan.images)
    boxes = sum(planned.boxes for planned in labelled)
    own = Counter(split_of(plan, planned) for planned in plan.images)
    named = {planned.split for planned in plan.images}
    named |= {other_split(planned) for planned in plan.images if planned.also and plan.listed}
    lines = images + also
    found = {
        "splits": (
            len(named) + plan.other_split,
            len(own),
            {"without images of their own": len(named) - len(own), "of an unknown name": int(plan.other_split)},
        ),
        "image files": (
            images + plan.unnamed + plan.by_system,
            images,
            {"named by no split": plan.unnamed, "left by the system": plan.by_system},
        ),
        "label files": (
            len(labelled) + plan.stray_labels + plan.by_system,
            len(labelled),
            {"without an image": plan.stray_labels, "left by the system": plan.by_system},
        ),
        "label lines": (boxes, boxes, {}),
        "list lines": (
            lines + plan.lost_lines + plan.doubled_lines,
            images,
            {"that lead nowhere": plan.lost_lines, "given twice": plan.doubled_lines, "that another split has": also},
        ),
    }
    if not plan.listed:
        del found["list lines"]
    return found


@settings(max_examples=150)
@given(PLANS)
def test_all_that_is_found_is_used_or_left_out_under_its_reason(plan: Plan) -> None:
    folder = Path(tempfile.mkdtemp()).resolve()
    try:
        build(folder, plan)
        found = open_source(DatasetConfig(source="yolo", path=folder), folder).read()
        accounts = {
            each.kind: (each.found, each.used, {reason: entry.number for reason, entry in each.left_out.items()})
            for each in found.accounts
        }
        assert accounts == {
            kind: (number, used, {reason: count for reason, count in reasons.items() if count})
            for kind, (number, used, reasons) in expected_accounts(plan).items()
        }
        assert all(number == used + sum(reasons.values()) for number, used, reasons in accounts.values())
        items = {item.name: item for item in found.items}
        assert len(items) == len(plan.images)
        for number, planned in enumerate(plan.images):
            item = items[f"image {number}{planned.suffix}"]
            assert item.split == split_of(plan, planned)
            count = planned.boxes if planned.labels != "none" else 0
            assert list(item.boxes) == [box_of(number, position) for position in range(count)]
    finally:
        shutil.rmtree(folder)


def test_images_that_two_folders_name_stay_in_the_first_split_with_a_warning(tmp_path: Path) -> None:
    for name in ("a", "b"):
        touch(tmp_path / "images" / "more" / f"{name}.jpg")
        touch(tmp_path / "labels" / "more" / f"{name}.txt", "0 0.5 0.5 0.1 0.1\n")
    touch(tmp_path / "other" / "c.jpg")
    touch(tmp_path / "data.yaml", "names: [hand]\ntrain: images\nval: [images/more, other]\n")
    found = open_source(DatasetConfig(source="yolo", path=tmp_path), tmp_path).read()
    assert [(item.name, item.split) for item in found.items] == [
        ("a.jpg", "train"),
        ("b.jpg", "train"),
        ("c.jpg", "val"),
    ]
    assert found.warnings == ("2 images are named by two splits (a.jpg, b.jpg): each belongs to the first",)


def test_a_line_that_two_lists_of_a_split_have_counts_once(tmp_path: Path) -> None:
    touch(tmp_path / "images" / "a.jpg")
    touch(tmp_path / "labels" / "a.txt", "0 0.5 0.5 0.1 0.1\n")
    for name in ("one", "two"):
        touch(tmp_path / f"{name}.txt", "images/a.jpg\n")
    touch(tmp_path / "data.yaml", "names: [hand]\ntrain: [one.txt, two.txt]\n")
    found = open_source(DatasetConfig(source="yolo", path=tmp_path), tmp_path).read()
    (lines,) = (each for each in found.accounts if each.kind == "list lines")
    assert (lines.found, lines.used, lines.left_out["given twice"].number) == (2, 1, 1)
