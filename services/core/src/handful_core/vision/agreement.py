"""Do two predictions for one image agree? Used by the parity gate and by the golden image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from handful_core.vision.detections import Detections, box_iou, match

_PAIR_IOU = 0.5
"""Boxes that overlap less are two objects."""
MIN_IOU = 0.99
MAX_SCORE_GAP = 0.01
"""Also the width of the band around the threshold in which a box may be there or not."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well one prediction's boxes are found again in another."""

    matched: int
    unmatched: int
    """Surely above the threshold in one prediction, and without a partner in the other."""
    worst_iou: float
    worst_score_gap: float

    @property
    def ok(self) -> bool:
        """Same boxes, same scores, within the tolerances."""
        return self.within(MIN_IOU, MAX_SCORE_GAP)

    def within(self, iou: float, score_gap: float) -> bool:
        """Same boxes, same scores, within these tolerances."""
        return self.unmatched == 0 and self.worst_iou >= iou and self.worst_score_gap <= score_gap

    @property
    def severity(self) -> tuple[float, ...]:
        """Larger is worse: boxes without a partner first, then overlap, then scores."""
        return self.unmatched, -self.worst_iou, self.worst_score_gap

    def __str__(self) -> str:
        return (
            f"{self.matched} boxes agree, {self.unmatched} have no partner, "
            f"worst IoU {self.worst_iou:.4f}, worst score gap {self.worst_score_gap:.4f}"
        )


def compare_detections(
    expected: Detections, actual: Detections, confidence: float, score_gap: float = MAX_SCORE_GAP
) -> Agreement:
    """Pair the boxes of two predictions, each made with a threshold of `confidence - score_gap` or lower.

    A pair has the same class and the highest overlap left. A box within `score_gap` of the threshold may lack its
    partner, since a rounding error decides whether it is there.
    """
    overlap = box_iou(expected.boxes, actual.boxes)
    pairs = match(expected, actual, _PAIR_IOU, same_class=True)
    worst_iou, worst_gap = 1.0, 0.0
    for i, j in pairs:
        if max(expected.scores[i], actual.scores[j]) > confidence:
            worst_iou = min(worst_iou, float(overlap[i, j]))
            worst_gap = max(worst_gap, abs(float(expected.scores[i]) - float(actual.scores[j])))
    surely = confidence + score_gap
    lonely_expected = np.delete(expected.scores, [i for i, _ in pairs])
    lonely_actual = np.delete(actual.scores, [j for _, j in pairs])
    unmatched = int((lonely_expected > surely).sum() + (lonely_actual > surely).sum())
    return Agreement(len(pairs), unmatched, worst_iou, worst_gap)
