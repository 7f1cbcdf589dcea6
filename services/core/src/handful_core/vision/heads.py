"""Reading what a detection graph puts out. The layouts are described at `Head`."""

from __future__ import annotations

import cv2
import numpy as np

from handful_core.package.manifest import Head
from handful_core.vision.detections import Detections
from handful_core.vision.preprocess import Floats

_MAX_CANDIDATES = 30_000


def read_detections(
    output: Floats, head: Head, confidence: float, iou: float, max_detections: int, *, every_class: bool = False
) -> Detections:
    """Turn a graph's output into boxes in input pixels, the surest first.

    Args:
        output: the graph's output, laid out as `head` says.
        head: a detection head.
        confidence: only boxes that score higher.
        iou: boxes of one class that overlap by more than this are one object (raw heads only).
        max_detections: at most so many.
        every_class: let an anchor of a raw head give one candidate per class above the threshold, not only its best.
            Average precision is measured so (as Ultralytics does); serving never is.
    """
    if head is Head.RAW:
        found = _suppress(_raw_candidates(output, confidence, every_class=every_class), iou)
    else:
        rows = output[0][output[0][:, 4] > confidence]
        found = Detections(rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64))
        found = found.take(np.argsort(-found.scores, kind="stable"))
    return found.take(np.arange(min(len(found), max_detections)))


def _raw_candidates(output: Floats, confidence: float, *, every_class: bool) -> Detections:
    """(1, 4 + n, a) to all boxes above the threshold, before suppression."""
    scores = output[0, 4:]
    if every_class:
        classes, anchors = np.nonzero(scores > confidence)
        best = scores[classes, anchors]
    else:
        highest = scores.max(axis=0)
        anchors = np.flatnonzero(highest > confidence)
        classes = scores[:, anchors].argmax(axis=0)
        best = highest[anchors]
    if len(best) > _MAX_CANDIDATES:
        keep = np.argpartition(-best, _MAX_CANDIDATES)[:_MAX_CANDIDATES]
        anchors, classes, best = anchors[keep], classes[keep], best[keep]
    centre, half = output[0, :2, anchors], output[0, 2:4, anchors] / 2
    boxes = np.concatenate([centre - half, centre + half], axis=1)
    return Detections(boxes, best, classes.astype(np.int64))


def _suppress(found: Detections, iou: float) -> Detections:
    """Non-maximum suppression within each class, by OpenCV."""
    if len(found) == 0:
        return found
    corner_and_size = np.concatenate([found.boxes[:, :2], found.boxes[:, 2:] - found.boxes[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxesBatched(
        corner_and_size.astype(np.float64).tolist(), found.scores.tolist(), found.classes.tolist(), 0.0, iou
    )
    return found.take(np.asarray(kept, np.int64))
