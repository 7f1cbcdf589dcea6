"""Folders in COCO's layout with strays, from a plan that knows nothing of the reader: nothing gets lost."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import RawDataset
from handful_trainer.dataset.sources.registry import open_source

_SPELLINGS = ("plain", "folders", "backslashes", "percent", "capitals", "url")
_SHAPES = ("box", "text id", "outline", "mask", "nothing", "unknown category", "crowd")


class Planned(NamedTuple):
    """An image record and what belongs to it."""

    spelling: str
    there: bool
    given: int
    """How many records are the same."""
    shapes: tuple[str, ...]


class Plan(NamedTuple):
    """A dataset's folder."""

    images: list[Planned]
    unlisted: int
    by_system: int
    strange: int
    """Annotations of images that are not listed."""
    grouped: bool
    """Is there a category above all others?"""
    others: tuple[str, ...]
    """JSON files that are no instances."""


_IMAGES = st.builds(
    Planned,
    st.sampled_from(_SPELLINGS),
    st.sampled_from([True, True, True, False]),
    st.sampled_from([1, 1, 1, 2, 3]),
    st.lists(st.sampled_from(_SHAPES), max_size=4).map(tuple),
)
PLANS = st.builds(
    Plan,
    st.lists(_IMAGES, min_size=1, max_size=6).map(lambda images: [images[0]._replace(there=True), *images[1:]]),
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 3),
    st.booleans(),
    st.lists(st.sampled_from(["captions", "results", "meta"]), unique=True).map(tuple),
)
_OTHERS: dict[str, Any] = {
    "captions": {"images": [], "annotations": [{"caption": "a hand"}], "categories": []},
    "results": [{"image_id": 1, "bbox": [1, 2, 3, 4]}],
    "meta": {"made": "by hand"},
}


def spelt(kind: str, number: int) -> tuple[str, str]:
    """What the record says, and what the file is called."""
    plain = f"image {number}.jpg"
    return {
        "plain": plain,
        "folders": f"/home/somebody/set/{plain}",
        "backslashes": f"..\\..\\set\\{plain}",
        "percent": f"image%20{number}.jpg",
        "capitals": plain.upper(),
        "url": f"https://example.org/set/image%20{number}.jpg?key=1",
    }[kind], plain


def box_of(image: int, position: int) -> tuple[int, int, int, int]:
    """Whole pixels, another for each annotation."""
    return 2 + image, 3 + position, 5 + position, 7 + image


def annotation(kind: str, image: int, position: int) -> dict[str, Any]:
    x, y, w, h = box_of(image, position)
    found: dict[str, Any] = {"image_id": image, "category_id": 1, "bbox": [x, y, w, h]}
    column = [h, 48 - h] * (w - 1) + [h]
    return (
        found
        | {
            "box": {},
            "text id": {"image_id": f" {image}.0", "category_id": "1"},
            "outline": {"bbox": None, "segmentation": [[x, y, x + w, y, x + w, y + h]]},
            "mask": {"bbox": [], "segmentation": {"size": [48, 64], "counts": mask(x, y, column)}},
            "nothing": {"bbox": None},
            "unknown category": {"category_id": 9},
            "crowd": {"iscrowd": 1},
        }[kind]
    )


def mask(x: int, y: int, column: list[int]) -> list[int]:
    start = x * 48 + y
    return [start, *column, 64 * 48 - start - sum(column)]


def build(folder: Path, plan: Plan) -> None:
    (folder / "images").mkdir()
    images, annotations = [], []
    for number, planned in enumerate(plan.images):
        said, name = spelt(planned.spelling, number)
        if planned.there:
            (folder / "images" / name).touch()
        images += [{"id": number, "file_name": said, "width": 64, "height": 48}] * planned.given
        annotations += [annotation(kind, number, position) for position, kind in enumerate(planned.shapes)]
    annotations += [{"image_id": 900 + n, "category_id": 1, "bbox": [1, 2, 3, 4]} for n in range(plan.strange)]
    for number in range(plan.unlisted):
        (folder / "images" / f"stray {number}.png").touch()
    for number in range(plan.by_system):
        (folder / "images" / f"._image {number}.jpg").touch()
    categories = [{"id": 1, "name": "hand", "supercategory": "hands"}]
    categories += [{"id": 0, "name": "hands", "supercategory": "none"}] if plan.grouped else []
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "labels.json").write_text(json.dumps(content))
    for name in plan.others:
        (folder / f"{name}.json").write_text(json.dumps(_OTHERS[name]))


def expected_accounts(plan: Plan) -> dict[str, tuple[int, int, dict[str, int]]]:
    """By kind: how many there are, how many are used, and how many are left out for each reason."""
    shapes = Counter(shape for planned in plan.images for shape in planned.shapes)
    records = sum(planned.given for planned in plan.images)
    there = sum(planned.there for planned in plan.images)
    reasons = {"captions": "with captions", "results": "with a list of results", "meta": "that are no COCO files"}
    return {
        "JSON files": (1 + len(plan.others), 1, {reasons[name]: 1 for name in plan.others}),
        "image records": (records, len(plan.images), {"given twice": records - len(plan.images)}),
        "categories": (1 + plan.grouped, 1, {"that only group others": int(plan.grouped)}),
        "annotations": (
            shapes.total() + plan.strange,
            shapes.total() - shapes["nothing"],
            {"of an unlisted image": plan.strange, "without a box or an outline": shapes["nothing"]},
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


def expected_boxes(image: int, planned: Planned) -> Iterator[tuple[Any, ...]]:
    for position, kind in enumerate(planned.shapes):
        if kind != "nothing":
            shape = {"outline": "polygon", "mask": "polygon", "crowd": "crowd"}.get(kind, "box")
            yield ("category 9" if kind == "unknown category" else "hand", *box_of(image, position), shape)


@settings(max_examples=100)
@given(PLANS)
def test_all_that_is_found_is_used_or_left_out_under_its_reason(plan: Plan) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        build(folder, plan)
        found = open_source(DatasetConfig(source="coco", path=folder), folder).read()
        without_zeros = {
            kind: (number, used, {reason: count for reason, count in left.items() if count})
            for kind, (number, used, left) in expected_accounts(plan).items()
        }
        assert accounts(found) == without_zeros
        assert all(number == used + sum(left.values()) for number, used, left in accounts(found).values())
        assert found.classes == ("hand",)
        for number, (item, planned) in enumerate(zip(found.items, plan.images, strict=True)):
            _, name = spelt(planned.spelling, number)
            assert item.path == (folder / "images" / name if planned.there else None)
            assert list(item.boxes) == list(expected_boxes(number, planned))
    finally:
        shutil.rmtree(folder)
