from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handful_trainer.dataset.sources.base import ACCEPTED, RawBox, RawItem
from handful_trainer.tasks.detection.labels import DROP_REASONS, clean_boxes, label_line

IDS = {"cat": 0, "dog": 1}


def item(*boxes: RawBox, relative: bool = False) -> RawItem:
    return RawItem("a", None, "a.jpg", ACCEPTED, boxes, relative=relative)


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        (RawBox("cat", 100, 0, 10, 10), "outside"),
        (RawBox("cat", -10, 0, 10, 10), "outside"),
        (RawBox("cat", 0, 80, 10, 10), "outside"),
        (RawBox("cat", 99.9999, 0, 10, 10), "outside"),
        (RawBox("cat", 1e308, 0, 1e308, 10), "outside"),
        (RawBox("cat", 10, 10, 0, 10), "zero_area"),
        (RawBox("cat", 10, 10, 5, 0), "zero_area"),
        (RawBox("cat", 10, 10, 1e-5, 10), "zero_area"),
        (RawBox("cat", 10, 10, -5, 10), "negative"),
        (RawBox("cow", 10, 10, 5, 10), "unknown_label"),
        (RawBox("cat", 10, 10, 5, 10, "crowd"), "crowd"),
        (RawBox("cat", 0, 0, 0, 0, "polygon"), "zero_area"),
    ],
)
def test_bad_boxes_are_dropped_with_the_reason(box: RawBox, reason: str) -> None:
    cleaned = clean_boxes(item(box), 100, 80, IDS)
    assert cleaned.kept == ()
    assert [dropped.reason for dropped in cleaned.dropped] == [reason]


def test_boxes_are_cut_to_the_image() -> None:
    cleaned = clean_boxes(item(RawBox("dog", -5, 70, 20, 30)), 100, 80, IDS)
    assert cleaned.kept == ((1, 0, 70, 15, 80, True),)


def test_a_hair_over_the_edge_is_rounding() -> None:
    cleaned = clean_boxes(item(RawBox("cat", 0.5, 0.5, 0.5000001, 0.5), relative=True), 100, 80, IDS)
    assert cleaned.kept == ((0, 50, 40, 100, 80, False),)


def test_a_box_given_twice_is_kept_once() -> None:
    same, other = RawBox("cat", 1, 1, 5, 5), RawBox("dog", 1, 1, 5, 5)
    cleaned = clean_boxes(item(same, same, other), 100, 80, IDS)
    assert [box.class_id for box in cleaned.kept] == [0, 1]
    assert [dropped.reason for dropped in cleaned.dropped] == ["duplicate"]


SIDES = st.one_of(st.integers(-300, 300), st.floats(-1e9, 1e9), st.floats(allow_nan=False, allow_infinity=False))
BOXES = st.builds(RawBox, st.sampled_from(["cat", "dog", "cow"]), SIDES, SIDES, SIDES, SIDES)


@settings(deadline=None)
@given(st.lists(BOXES, max_size=8), st.integers(10, 5000), st.integers(10, 5000), st.booleans())
def test_no_kept_box_leaves_the_image_and_none_is_lost(
    boxes: list[RawBox], width: int, height: int, relative: bool
) -> None:
    cleaned = clean_boxes(item(*boxes, relative=relative), width, height, IDS)
    assert len(cleaned.kept) + len(cleaned.dropped) == len(boxes)
    assert {dropped.reason for dropped in cleaned.dropped} <= {*DROP_REASONS, "crowd", "polygon"}
    for box in cleaned.kept:
        assert 0 <= box.left < box.right <= width
        assert 0 <= box.top < box.bottom <= height
        class_id, x, y, w, h = (float(word) for word in label_line(box, width, height).split())
        assert class_id in {0, 1}
        assert all(0 < value <= 1 for value in (x, y, w, h))
        assert (x - w / 2) * width == pytest.approx(box.left, abs=1e-3)
        assert (y + h / 2) * height == pytest.approx(box.bottom, abs=1e-3)
