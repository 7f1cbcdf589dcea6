"""Tables with strays, from a plan that knows nothing of the reader: nothing gets lost."""

from __future__ import annotations

import csv
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import RawDataset
from handful_trainer.dataset.sources.registry import open_source

_LABELS = ("healthy", "leaf rust", 'say "rust"', "a, b", "0")
_SPLITS = {"": None, "train": "train", "VALID": "val", "Test": "test"}


class Planned(NamedTuple):
    """An image and its rows."""

    spelling: str
    label: str
    split: str
    group: str
    there: bool
    again: int
    """How many more rows say the same."""
    other: bool
    """Does one more row give it another label?"""


class Plan(NamedTuple):
    """A table and its folder."""

    images: list[Planned]
    nameless: int
    unlisted: int
    by_system: int
    notes: bool
    """Is there a column that nothing reads?"""
    delimiter: str
    encoding: str


_IMAGES = st.builds(
    Planned,
    st.sampled_from(["plain", "stem", "folders", "backslashes", "capitals", "upload"]),
    st.sampled_from(["", *_LABELS]),
    st.sampled_from(sorted(_SPLITS)),
    st.sampled_from(["", "plant 1", "plant 2"]),
    st.sampled_from([True, True, True, False]),
    st.sampled_from([0, 0, 1, 2]),
    st.sampled_from([False, False, True]),
)
PLANS = st.builds(
    Plan,
    st.lists(_IMAGES, min_size=1, max_size=7).map(lambda images: [images[0]._replace(there=True), *images[1:]]),
    st.integers(0, 2),
    st.integers(0, 3),
    st.integers(0, 3),
    st.booleans(),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)


def spelt(kind: str, number: int) -> str:
    name = f"image {number}.jpg"
    return {
        "plain": name,
        "stem": f"image {number}",
        "folders": f"/home/somebody/{name}",
        "backslashes": f"D:\\set\\{name}",
        "capitals": name.upper(),
        "upload": f"/data/upload/1/0a1b2c{number:02d}-{name}",
    }[kind]


def rows(plan: Plan) -> list[list[str]]:
    found = []
    for number, planned in enumerate(plan.images):
        row = [spelt(planned.spelling, number), planned.label, planned.split, planned.group]
        found += [row] * (1 + planned.again)
        found += [[row[0], "another", *row[2:]]] if planned.other else []
    return found + [["", "healthy", "", ""]] * plan.nameless


def build(folder: Path, plan: Plan) -> None:
    (folder / "photos").mkdir()
    for number, planned in enumerate(plan.images):
        if planned.there:
            (folder / "photos" / f"image {number}.jpg").touch()
    for number in range(plan.unlisted):
        (folder / "photos" / f"stray {number}.png").touch()
    for number in range(plan.by_system):
        (folder / "photos" / f"._image {number}.jpg").touch()
    with (folder / "table.csv").open("w", encoding=plan.encoding, newline="") as file:
        writer = csv.writer(file, delimiter=plan.delimiter)
        writer.writerow(["Image", "label", "split", "group", *(["notes"] if plan.notes else [])])
        writer.writerows([*row, *(["seen"] if plan.notes else [])] for row in rows(plan))


def labels_of(planned: Planned) -> tuple[str, ...]:
    return tuple(name for name in [planned.label, "another" if planned.other else ""] if name)


def expected(plan: Plan) -> dict[str, tuple[int, int, dict[str, int]]]:
    """By kind: how many there are, how many are used, and how many are left out for each reason."""
    there = sum(planned.there for planned in plan.images)
    unread = plan.notes + (not any(planned.split for planned in plan.images))
    return {
        "columns": (4 + plan.notes, 4 + plan.notes - unread, {"that are not read": unread}),
        "rows": (
            len(rows(plan)),
            len(plan.images),
            {
                "without an image": plan.nameless,
                "given twice": sum(planned.again for planned in plan.images),
                "that give another label to an image": sum(planned.other for planned in plan.images),
            },
        ),
        "image files": (
            there + plan.unlisted + plan.by_system,
            there,
            {"not listed": plan.unlisted, "left by the system": plan.by_system},
        ),
    }


def accounts(found: RawDataset) -> dict[str, tuple[int, int, dict[str, int]]]:
    return {
        each.kind: (each.found, each.used, {reason: entry.number for reason, entry in each.left_out.items()})
        for each in found.accounts
    }


@settings(max_examples=150)
@given(PLANS)
def test_all_that_is_found_is_used_or_left_out_under_its_reason(plan: Plan) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        build(folder, plan)
        found = open_source(DatasetConfig(source="csv", path=folder), folder).read()
        assert accounts(found) == {
            kind: (number, used, {reason: count for reason, count in reasons.items() if count})
            for kind, (number, used, reasons) in expected(plan).items()
        }
        assert all(number == used + sum(left.values()) for number, used, left in accounts(found).values())
        for number, (item, planned) in enumerate(zip(found.items, plan.images, strict=True)):
            file = folder / "photos" / f"image {number}.jpg"
            assert item.path == (file if planned.there else None)
            assert item.labels == labels_of(planned)
            assert (item.split, item.group) == (_SPLITS[planned.split], planned.group)
            assert item.status == ("accepted" if item.labels else "none")
        assert set(found.classes) == {name for planned in plan.images for name in labels_of(planned)}
    finally:
        shutil.rmtree(folder)
