"""From what a detection graph puts out to boxes. The layouts are described at `OutputLayout`."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from handful_core.package.manifest import OutputLayout
from handful_core.vision.detections import Detections
from handful_core.vision.preprocess import Floats

_MAX_CANDIDATES = 30_000
"""Boxes that go into NMS at most, as in Ultralytics. Its time grows with their square. At a threshold of 0, 8,400
anchors of 80 classes would be 672,000 boxes."""


@dataclass(frozen=True, slots=True)
class PostprocessOptions:
    """How a graph's output becomes boxes."""

    confidence: float
    """Only boxes that score higher."""
    iou: float = 0.7
    """Boxes of one class that overlap by more than this are one object (raw heads; others if `class_agnostic`)."""
    max_detections: int = 300
    """At most so many."""
    class_agnostic: bool = False
    """Boxes of any classes that overlap so are one object, whatever the head; the surest stays."""
    every_class: bool = False
    """Let an anchor of a raw head give one candidate per class above the threshold, not only its best.

    Average precision is measured so (as Ultralytics does); serving never is.
    """


def postprocess(output: Floats, head: OutputLayout, options: PostprocessOptions) -> Detections:
    """Turn a graph's output into boxes in input pixels, the surest first.

    Args:
        output: the graph's output, laid out as `head` says.
        head: a detection head.
        options: thresholds, and what counts as one object.
    """
    if head is OutputLayout.RAW:
        found = _suppress(_raw_candidates(output, options.confidence, every_class=options.every_class), options)
    else:
        rows = output[0][output[0][:, 4] > options.confidence]
        found = Detections(rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64))
        found = found.take(np.argsort(-found.scores, kind="stable"))
        if options.class_agnostic:  # One anchor may have given two rows; NMS in a graph looks at each class alone.
            found = _suppress(found, options)
    if len(found) <= options.max_detections:
        return found
    return found.take(np.arange(options.max_detections))


def _raw_candidates(output: Floats, confidence: float, *, every_class: bool) -> Detections:
    """(1, 4 + n, a) to all boxes above the threshold, before suppression."""
    scores = output[0, 4:]
    if every_class:
        classes, anchors = np.nonzero(scores > confidence)
        best = scores[classes, anchors]
    else:
        highest = scores.max(axis=0)
        anchors = np.flatnonzero(highest > confidence)
        if not len(anchors):
            return Detections.empty()
        classes = scores[:, anchors].argmax(axis=0)
        best = highest[anchors]
    if len(best) > _MAX_CANDIDATES:
        keep = np.argpartition(-best, _MAX_CANDIDATES)[:_MAX_CANDIDATES]
        anchors, classes, best = anchors[keep], classes[keep], best[keep]
    centre, half = output[0, :2, anchors], output[0, 2:4, anchors] / 2
    boxes = np.concatenate([centre - half, centre + half], axis=1)
    return Detections(boxes, best, classes.astype(np.int64))


def _suppress(found: Detections, options: PostprocessOptions) -> Detections:
    """Non-maximum suppression within each class or across them all, by OpenCV."""
    if len(found) == 0:
        return found
    corner_and_size = np.concatenate([found.boxes[:, :2], found.boxes[:, 2:] - found.boxes[:, :2]], axis=1)
    groups = [0] * len(found) if options.class_agnostic else found.classes.tolist()
    kept = cv2.dnn.NMSBoxesBatched(
        corner_and_size.astype(np.float64).tolist(), found.scores.tolist(), groups, 0.0, options.iou
    )
    return found.take(np.asarray(kept, np.int64))
