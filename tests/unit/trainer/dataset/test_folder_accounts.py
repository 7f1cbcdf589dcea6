"""Folders of classes with strays, from a plan that knows nothing of the reader: nothing gets lost."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.registry import open_source

_SPLITS = {"train": "train", "Val": "val", "valid": "val", "TEST": "test"}
_CLASSES = ("healthy", "leaf rust", "train")


class Planned(NamedTuple):
    """An image."""

    split: str
    label: str
    suffix: str
    deeper: bool


class Plan(NamedTuple):
    """A dataset's folder."""

    images: list[Planned]
    with_splits: bool
    outside: int
    """Images beside all folders."""
    loose: int
    """Images in a split, and in no class."""
    beside: int
    """Images of a class that is in no split."""
    by_system: int
    empty: bool
    """Is there a class's folder without images?"""


_IMAGES = st.builds(
    Planned,
    st.sampled_from(sorted(_SPLITS)),
    st.sampled_from(_CLASSES),
    st.sampled_from([".jpg", ".JPEG", ".png"]),
    st.booleans(),
)
PLANS = st.builds(
    Plan,
    st.lists(_IMAGES, min_size=1, max_size=8),
    st.booleans(),
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 3),
    st.booleans(),
)


def anchored(plan: Plan) -> Plan:
    """With an image right in the folder of a class in each split: else nobody could tell which folder is one."""
    splits = {planned.split for planned in plan.images}
    anchors = [Planned(split, "healthy", ".jpg", deeper=False) for split in sorted(splits)]
    images = [
        planned if plan.with_splits else planned._replace(deeper=planned.deeper and planned.label != "train")
        for planned in plan.images
    ]
    return plan._replace(images=[*images, *anchors], beside=min(plan.beside, len(images)))


def place(plan: Plan, number: int, planned: Planned) -> str:
    above = f"{planned.split}/" if plan.with_splits else ""
    return f"{above}{planned.label}/{'plot 1/' if planned.deeper else ''}image {number}{planned.suffix}"


def build(folder: Path, plan: Plan) -> None:
    first = plan.images[0].split if plan.with_splits else ""
    names = [place(plan, number, planned) for number, planned in enumerate(plan.images)]
    names += [f"outside {number}.jpg" for number in range(plan.outside)]
    names += [f"{first}/loose {number}.jpg" for number in range(plan.loose) if plan.with_splits]
    names += [f"more/beside {number}.jpg" for number in range(plan.beside) if plan.with_splits]
    names += [f"{first or 'healthy'}/._image {number}.jpg" for number in range(plan.by_system)]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    if plan.empty:
        (folder / first / "empty").mkdir(parents=True)


def expected(plan: Plan) -> dict[str, tuple[int, int, dict[str, int]]]:
    """By kind: how many there are, how many are used, and how many are left out for each reason."""
    images, loose, beside = len(plan.images), plan.loose * plan.with_splits, plan.beside * plan.with_splits
    splits = {planned.split for planned in plan.images}
    folders = {(planned.split * plan.with_splits, planned.label) for planned in plan.images}
    found = {
        "image files": (
            images + plan.outside + loose + beside + plan.by_system,
            images,
            {
                "left by the system": plan.by_system,
                "outside the folders of classes": plan.outside,
                "in the folder of a split, and of no class": loose,
                "beside the splits": beside,
            },
        ),
        "splits": (len(splits), len(splits), dict[str, int]()),
        "class folders": (len(folders) + plan.empty, len(folders), {"without images": int(plan.empty)}),
    }
    if not plan.with_splits:
        del found["splits"]
    return found


@settings(max_examples=150)
@given(PLANS.map(anchored))
def test_all_that_is_found_is_used_or_left_out_under_its_reason(plan: Plan) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        build(folder, plan)
        found = open_source(DatasetConfig(source="folder", path=folder), folder).read()
        accounts = {
            each.kind: (each.found, each.used, {reason: entry.number for reason, entry in each.left_out.items()})
            for each in found.accounts
        }
        assert accounts == {
            kind: (number, used, {reason: count for reason, count in reasons.items() if count})
            for kind, (number, used, reasons) in expected(plan).items()
        }
        assert all(number == used + sum(reasons.values()) for number, used, reasons in accounts.values())
        assert Counter(item.path for item in found.items) == Counter(
            folder / place(plan, number, planned) for number, planned in enumerate(plan.images)
        )
        assert len({item.id.casefold() for item in found.items}) == len(plan.images)
        items = {item.name: item for item in found.items}
        for number, planned in enumerate(plan.images):
            item = items[f"image {number}{planned.suffix}"]
            assert item.labels == (planned.label,)
            assert item.split == (_SPLITS[planned.split] if plan.with_splits else None)
        assert found.classes == tuple(sorted({planned.label for planned in plan.images}))
    finally:
        shutil.rmtree(folder)
