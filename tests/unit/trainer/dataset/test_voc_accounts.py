"""Folders in Pascal VOC's layout with strays, from a plan that knows nothing of the reader: nothing gets lost."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import RawBox, RawDataset
from handful_trainer.dataset.sources.registry import open_source


class Planned(NamedTuple):
    """An XML file and what belongs to it."""

    suffix: str
    """Of the XML file."""
    image: str
    """Suffix of its image; empty if it is missing, or two of them."""
    split: str
    """The list that has it, empty for none."""
    lines: int
    """How often the list has it."""
    reversed: tuple[bool, ...]
    """For each object: are its sides the wrong way round?"""
    deleted: int


class Plan(NamedTuple):
    """A dataset's folder."""

    files: list[Planned]
    unlisted: int
    by_system: int
    masks: int
    outside: int
    """XML files outside Annotations."""
    lost_lines: int
    """Lines of train.txt that name nothing."""
    other_lists: tuple[str, ...]


_FILES = st.builds(
    Planned,
    st.sampled_from([".xml", ".XML", ".Xml"]),
    st.sampled_from([".jpg", ".JPG", ".png", "", ".jpg .png"]),
    st.sampled_from(["train", "val", "test", ""]),
    st.sampled_from([1, 1, 2]),
    st.lists(st.booleans(), max_size=3).map(tuple),
    st.integers(0, 2),
)
PLANS = st.builds(
    Plan,
    st.lists(_FILES, min_size=1, max_size=6).map(lambda files: [files[0]._replace(split="train"), *files[1:]]),
    st.integers(0, 2),
    st.integers(0, 2),
    st.integers(0, 2),
    st.integers(0, 2),
    st.integers(0, 2),
    st.lists(st.sampled_from(["cat_train", "default", "batch"]), unique=True).map(tuple),
)
Accounts = dict[str, tuple[int, int, dict[str, int]]]


def box_of(file: int, position: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom, others for each object."""
    return 2 + file, 3 + position, 20 + file + position, 30 + position


def content(number: int, planned: Planned) -> str:
    objects = ""
    for position, turned in enumerate(planned.reversed):
        left, top, right, bottom = box_of(number, position)
        left, right = (right, left) if turned else (left, right)
        sides = f"<xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}.0</xmax><ymax>{bottom}</ymax>"
        objects += f"<object><name>cat</name><bndbox>{sides}</bndbox></object>"
    objects += "<object><name>cat</name><deleted>1</deleted></object>" * planned.deleted
    return f"<annotation><filename>elsewhere/my photo {number}</filename>{objects}</annotation>"


def build(folder: Path, plan: Plan) -> None:
    annotations, images, sets = folder / "Annotations", folder / "JPEGImages", folder / "ImageSets" / "Main"
    for place in (annotations, images, sets, folder / "SegmentationObject"):
        place.mkdir(parents=True)
    lists: dict[str, list[str]] = {"train": [f"gone {n}" for n in range(plan.lost_lines)]}
    for number, planned in enumerate(plan.files):
        name = f"my photo {number}"
        (annotations / f"{name}{planned.suffix}").write_text(content(number, planned))
        for suffix in planned.image.split():
            (images / f"{name}{suffix}").touch()
        if planned.split:
            lists.setdefault(planned.split, []).extend([name] * planned.lines)
    for name, lines in lists.items():
        (sets / f"{name}.txt").write_text("\n".join(lines))
    for name in plan.other_lists:
        (sets / f"{name}.txt").write_text("my photo 0 1\n")
    strays = [images / f"stray {n}.bmp" for n in range(plan.unlisted)]
    strays += [images / f"._photo {n}.jpg" for n in range(plan.by_system)]
    strays += [folder / "SegmentationObject" / f"my photo {n}.png" for n in range(plan.masks)]
    for path in [*strays, *(folder / f"notes {n}.xml" for n in range(plan.outside))]:
        path.touch()


def expected_accounts(plan: Plan) -> Accounts:
    """By kind: how many there are, how many are used, and how many are left out for each reason."""
    doubtful = [planned for planned in plan.files if len(planned.image.split()) > 1]
    clear = [planned for planned in plan.files if planned not in doubtful]
    doubtful_objects = sum(len(planned.reversed) for planned in doubtful)
    objects, deleted = sum(len(planned.reversed) for planned in plan.files), sum(p.deleted for p in plan.files)
    listed = [planned for planned in plan.files if planned.split]
    lines = sum(planned.lines for planned in listed)
    lists = len({planned.split for planned in listed})
    images = sum(len(planned.image.split()) for planned in clear)
    batch = "batch" in plan.other_lists
    return {
        "XML files": (
            len(plan.files) + plan.outside,
            len(clear),
            {"outside Annotations": plan.outside, "of an ambiguous name": len(doubtful)},
        ),
        "list files": (
            lists + len(plan.other_lists),
            lists,
            {"that say no split": len(plan.other_lists) - batch, "of an unknown name": int(batch)},
        ),
        "list lines": (
            lines + plan.lost_lines,
            len(listed),
            {"given twice": lines - len(listed), "that name no XML file": plan.lost_lines},
        ),
        "objects": (
            objects + deleted,
            objects - doubtful_objects,
            {"marked as deleted": deleted, "of an image that is left out": doubtful_objects},
        ),
        "image files": (
            images + 2 * len(doubtful) + plan.unlisted + plan.by_system + plan.masks,
            images,
            {
                "of an ambiguous name": 2 * len(doubtful),
                "not listed": plan.unlisted,
                "left by the system": plan.by_system,
                "that are masks of segments": plan.masks,
            },
        ),
    }


def without_zeros(found: Accounts) -> Accounts:
    return {
        kind: (number, used, {reason: count for reason, count in left.items() if count})
        for kind, (number, used, left) in found.items()
    }


def accounts(found: RawDataset) -> Accounts:
    return {
        each.kind: (each.found, each.used, {reason: entry.number for reason, entry in each.left_out.items()})
        for each in found.accounts
    }


@settings(max_examples=100)
@given(PLANS)
def test_all_that_is_found_is_used_or_left_out_under_its_reason(plan: Plan) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        build(folder, plan)
        found = open_source(DatasetConfig(source="voc", path=folder), folder).read()
        assert accounts(found) == without_zeros(expected_accounts(plan))
        assert all(number == used + sum(left.values()) for number, used, left in accounts(found).values())
        clear = [(n, planned) for n, planned in enumerate(plan.files) if len(planned.image.split()) < 2]
        items = {item.id: item for item in found.items}
        assert len(items) == len(clear)
        for number, planned in clear:
            (item,) = (item for item in found.items if item.id.startswith(f"my-photo-{number}"))
            name = f"my photo {number}{planned.image}"
            assert item.path == (folder / "JPEGImages" / name if planned.image else None)
            assert item.split == (planned.split or None)
            sides = [box_of(number, position) for position in range(len(planned.reversed))]
            assert list(item.boxes) == [RawBox("cat", a, b, c - a, d - b) for a, b, c, d in sides]
    finally:
        shutil.rmtree(folder)
