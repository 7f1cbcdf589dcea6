"""Average precision and its kin of resampled images, for bootstrap intervals: without looking at a box again.

A resample is a number for each image: how often it was drawn. The scores are those that Ultralytics' `ap_per_class`
gives for boxes that are repeated so often, in a fraction of the time: boxes are sorted once, and the curve of precision
and recall is followed only where it has corners, at the boxes that are right and directly before them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ultralytics.utils.metrics import compute_ap, smooth

Floats = NDArray[np.float64]
_EPSILON = 1e-16
_CONFIDENCES = np.linspace(0, 1, 1000)
"""Thresholds at which precision and recall are read off their curves, as Ultralytics does."""


@dataclass(frozen=True, slots=True)
class _RankedClass:
    """The proposed boxes of a class, the surest first."""

    images: NDArray[np.int64]
    """(n,): the image of each."""
    confidences: Floats
    """(n,)"""
    correct: Floats
    """(n, thresholds): is it a true box, at each threshold of overlap?"""
    right: NDArray[np.int64]
    """Places of the boxes that are right at any threshold."""
    labels: NDArray[np.int64]
    """(images,): true boxes of the class in each image."""


class BoxResampler:
    """Scores resamples of images.

    Args:
        statistics: Ultralytics' own: lists with an array for each image under `tp`, `conf`, `pred_cls`, `target_cls`.
    """

    def __init__(self, statistics: Mapping[str, Sequence[NDArray[Any]]]) -> None:
        sizes = [len(found) for found in statistics["conf"]]
        images = np.repeat(np.arange(len(sizes)), sizes)
        correct, confidences, found, there = (
            np.concatenate(statistics[key]) for key in ("tp", "conf", "pred_cls", "target_cls")
        )
        owners = np.repeat(np.arange(len(sizes)), [len(classes) for classes in statistics["target_cls"]])
        order = np.argsort(-confidences)
        self._classes = [
            _ranked(
                order[found[order] == class_id],
                images,
                confidences,
                correct,
                np.bincount(owners[there == class_id], minlength=len(sizes)),
            )
            for class_id in np.unique(there).tolist()
        ]

    def mean_average_precision(self, weights: NDArray[np.int64], overlaps: int) -> float:
        """Mean average precision of a resample.

        Args:
            weights: (images,), how often each was drawn.
            overlaps: 1 for a threshold of 0.5 alone, 10 for the mean of 0.5 to 0.95.
        """
        found = [_average_precision(ranked, weights, overlaps) for ranked in self._drawn(weights)]
        return float(np.mean(found)) if found else 0.0

    def precision_recall_f1(self, weights: NDArray[np.int64]) -> tuple[float, float, float]:
        """Means of all classes at the threshold where the mean F1 is highest, of a resample."""
        curves = [_confidence_curves(ranked, weights) for ranked in self._drawn(weights)]
        if not curves:
            return 0.0, 0.0, 0.0
        precision, recall = np.swapaxes(curves, 0, 1)
        f1 = 2 * precision * recall / (precision + recall + _EPSILON)
        best = smooth(f1.mean(axis=0), 0.1).argmax()
        return float(precision[:, best].mean()), float(recall[:, best].mean()), float(f1[:, best].mean())

    def _drawn(self, weights: NDArray[np.int64]) -> list[_RankedClass]:
        """The classes of which a true box was drawn."""
        return [ranked for ranked in self._classes if weights @ ranked.labels]


def _ranked(
    order: NDArray[np.int64],
    images: NDArray[np.int64],
    confidences: Floats,
    correct: NDArray[np.bool_],
    labels: NDArray[np.int64],
) -> _RankedClass:
    ranked = correct[order]
    right = np.flatnonzero(ranked.any(axis=1))
    return _RankedClass(images[order], confidences[order], ranked.astype(np.float64), right, labels)


def _average_precision(ranked: _RankedClass, weights: NDArray[np.int64], overlaps: int) -> float:
    """The mean of some thresholds of overlap. The class has a true box."""
    drawn = weights[ranked.images]
    ends, times = drawn.cumsum()[ranked.right], drawn[ranked.right]
    # Corners: before a right box, and after each time that it is repeated.
    boxes = np.repeat(np.arange(len(times)), times + 1)
    repeated = np.arange(len(boxes)) - np.repeat((times + 1).cumsum() - times - 1, times + 1)
    proposed = (ends - times)[boxes] + repeated
    right = (ranked.correct[ranked.right, :overlaps][boxes] * (repeated > 0)[:, None]).cumsum(axis=0)
    begun = proposed > 0
    if not begun.any():
        return 0.0
    recall = right[begun] / (weights @ ranked.labels + _EPSILON)
    precision = right[begun] / proposed[begun, None]
    return float(np.mean([compute_ap(recall[:, i], precision[:, i])[0] for i in range(overlaps)]))


def _confidence_curves(ranked: _RankedClass, weights: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Precision and recall by threshold, (1000,) each. The class has a true box."""
    drawn = weights[ranked.images]
    confidences, right = -np.repeat(ranked.confidences, drawn), np.repeat(ranked.correct[:, 0], drawn).cumsum()
    if not len(right):
        return np.zeros(len(_CONFIDENCES)), np.zeros(len(_CONFIDENCES))
    recall = np.interp(-_CONFIDENCES, confidences, right / (weights @ ranked.labels + _EPSILON), left=0)
    precision = np.interp(-_CONFIDENCES, confidences, right / np.arange(1, len(right) + 1), left=1)
    return precision, recall
