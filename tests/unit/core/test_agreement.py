from __future__ import annotations

import numpy as np
import pytest

from handful_core.vision.agreement import compare_detections
from handful_core.vision.detections import Detections

Row = tuple[int, float, tuple[float, float, float, float]]
HAND: Row = (1, 0.9, (10, 10, 110, 110))
OTHER: Row = (2, 0.8, (200, 10, 300, 110))


def detections(*rows: Row) -> Detections:
    return Detections(
        np.float32([box for _, _, box in rows]).reshape(-1, 4),
        np.float32([score for _, score, _ in rows]),
        np.int64([number for number, _, _ in rows]),
    )


def test_the_same_answer_agrees_in_any_order() -> None:
    agreement = compare_detections(detections(HAND, OTHER), detections(OTHER, HAND), 0.25)
    assert agreement.ok
    assert (agreement.matched, agreement.unmatched) == (2, 0)
    assert str(agreement) == "2 boxes agree, 0 have no partner, worst IoU 1.0000, worst score gap 0.0000"


def test_two_answers_of_nothing_agree() -> None:
    assert compare_detections(detections(), detections(), 0.25).ok


@pytest.mark.parametrize(
    ("expected", "actual"),
    [((HAND,), ()), ((), (HAND,)), ((HAND,), (HAND, HAND)), ((HAND,), (HAND, OTHER))],
)
def test_a_box_without_a_partner_disagrees(expected: tuple[Row, ...], actual: tuple[Row, ...]) -> None:
    agreement = compare_detections(detections(*expected), detections(*actual), 0.25)
    assert not agreement.ok
    assert agreement.unmatched == 1


@pytest.mark.parametrize(
    ("changed", "ok"),
    [
        ((1, 0.9, (10, 10, 110, 110.4)), True),
        ((1, 0.9, (10, 10, 110, 112)), False),
        ((1, 0.905, (10, 10, 110, 110)), True),
        ((1, 0.92, (10, 10, 110, 110)), False),
        ((2, 0.9, (10, 10, 110, 110)), False),
    ],
)
def test_box_score_and_class_have_to_agree(changed: Row, ok: bool) -> None:
    assert compare_detections(detections(HAND), detections(changed), 0.25).ok is ok
    assert compare_detections(detections(changed), detections(HAND), 0.25).ok is ok


@pytest.mark.parametrize(("score", "ok"), [(0.245, True), (0.259, True), (0.262, False)])
def test_a_box_at_the_threshold_may_lack_its_partner(score: float, ok: bool) -> None:
    weak = (1, score, (10.0, 10.0, 110.0, 110.0))
    assert compare_detections(detections(weak), detections(), 0.25).ok is ok
    assert compare_detections(detections(), detections(weak), 0.25).ok is ok


def test_each_box_is_paired_once_with_the_best_that_is_left() -> None:
    near = (1, 0.9, (11.0, 10.0, 111.0, 110.0))
    agreement = compare_detections(detections(HAND, near), detections(near, HAND), 0.25)
    assert agreement.ok
    assert agreement.worst_iou == pytest.approx(1)
