from __future__ import annotations

import numpy as np
import pytest

from handful_core.vision.detections import Detections, box_iou, match


def test_detections_count_what_their_classes_are_worth() -> None:
    found = Detections(np.zeros((4, 4), np.float32), np.ones(4, np.float32), np.int64([0, 2, 2, 3]))
    assert found.count(("0", "1", "5", "unknown"), {"0": 0, "1": 1, "5": 5}) == 10
    assert Detections.empty().count(("0",), {"0": 0}) == 0


def test_overlap_of_boxes() -> None:
    a = np.float32([[0, 0, 10, 10], [20, 20, 20, 20]])
    b = np.float32([[0, 0, 10, 10], [5, 0, 15, 10], [50, 50, 60, 60], [20, 20, 20, 20]])
    assert np.allclose(box_iou(a, b), [[1, 1 / 3, 0, 0], [0, 0, 0, 0]])


def boxes(*rows: tuple[int, tuple[float, float, float, float]]) -> Detections:
    """Class and sides of each."""
    sides = np.float32([box for _, box in rows]).reshape(-1, 4)
    return Detections(sides, np.ones(len(rows), np.float32), np.int64([label for label, _ in rows]))


BOX, NEAR, FAR = (0.0, 0.0, 10.0, 10.0), (0.0, 0.0, 10.0, 8.0), (50.0, 50.0, 60.0, 60.0)


def test_the_highest_overlap_is_paired_first_and_each_box_once() -> None:
    assert match(boxes((0, NEAR), (0, BOX)), boxes((0, BOX), (0, FAR)), 0.5) == [(1, 0)]
    assert match(boxes((0, NEAR), (0, BOX)), boxes((0, BOX), (0, NEAR)), 0.5) == [(0, 1), (1, 0)]


@pytest.mark.parametrize(("min_iou", "pairs"), [(0.0, [(0, 0)]), (0.8, [(0, 0)]), (0.81, [])])
def test_boxes_that_overlap_less_are_no_pair(min_iou: float, pairs: list[tuple[int, int]]) -> None:
    assert match(boxes((0, BOX)), boxes((0, NEAR)), min_iou) == pairs


def test_boxes_that_do_not_overlap_are_never_a_pair() -> None:
    assert match(boxes((0, BOX)), boxes((0, FAR)), 0) == []


def test_classes_matter_only_where_that_is_asked_for() -> None:
    one, other = boxes((0, BOX)), boxes((1, BOX), (0, NEAR))
    assert match(one, other, 0.5) == [(0, 0)]
    assert match(one, other, 0.5, same_class=True) == [(0, 1)]


def test_nothing_is_paired_with_nothing() -> None:
    assert match(Detections.empty(), boxes((0, BOX)), 0) == []
    assert match(boxes((0, BOX)), Detections.empty(), 0) == []


def test_boxes_are_renumbered_by_the_names_of_their_classes() -> None:
    found = Detections(np.zeros((3, 4), np.float32), np.float32([0.9, 0.8, 0.7]), np.int64([0, 1, 2]))
    assert found.renumbered(("a", "b", "c"), ("c", "a")).classes.tolist() == [1, -1, 0]
    assert found.renumbered(("a", "b", "c"), ("a", "b", "c")) is found
    assert len(Detections.empty().renumbered(("a",), ("b",))) == 0
