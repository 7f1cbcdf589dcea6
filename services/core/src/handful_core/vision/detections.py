"""The boxes that a model found, what they add up to, and which boxes of two predictions belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Detections:
    """`n` boxes, the surest first."""

    boxes: NDArray[np.float32]
    """(n, 4): x1, y1, x2, y2 in pixels."""
    scores: NDArray[np.float32]
    """(n,), 0 to 1."""
    classes: NDArray[np.int64]
    """(n,): class ids."""

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def empty(cls) -> Self:
        """No boxes."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> Detections:
        """The boxes at these places, or where the mask is true."""
        return Detections(self.boxes[index], self.scores[index], self.classes[index])

    def scaled(self, x: float, y: float) -> Detections:
        """The same boxes in an image that is larger by these factors."""
        if not len(self):
            return self
        return Detections(self.boxes * np.array([x, y, x, y], np.float32), self.scores, self.classes)

    def renumbered(self, names: Sequence[str], others: Sequence[str]) -> Detections:
        """The same boxes as a model with other classes numbers them; -1 for a class that it does not have."""
        if tuple(names) == tuple(others):
            return self
        numbers = np.array([others.index(name) if name in others else -1 for name in names], np.int64)
        return Detections(self.boxes, self.scores, numbers[self.classes])

    def above(self, confidence: float) -> Detections:
        """The boxes whose score is higher than `confidence`."""
        return self.take(self.scores > confidence)

    def count(self, names: Sequence[str], counts: Mapping[str, int]) -> int:
        """What the image counts: the sum of what each box's class is worth."""
        return sum(counts.get(names[i], 0) for i in self.classes.tolist())


def box_iou(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of every box of `a` (n, 4) with every box of `b` (m, 4): (n, m)."""
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.prod(np.clip(bottom_right - top_left, 0, None), axis=2)
    area_a = np.prod(a[:, 2:] - a[:, :2], axis=1)
    area_b = np.prod(b[:, 2:] - b[:, :2], axis=1)
    union = area_a[:, None] + area_b[None, :] - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float32)


def match(a: Detections, b: Detections, min_iou: float, *, same_class: bool = False) -> list[tuple[int, int]]:
    """Pair the boxes of two predictions greedily: the highest overlap first, each box at most once.

    Args:
        a: one prediction's boxes.
        b: the other prediction's boxes.
        min_iou: boxes that overlap less are no pair; with 0 any overlap is enough.
        same_class: pair only boxes of one class.

    Returns:
        Places in `a` and in `b`, the highest overlap first.
    """
    overlap = box_iou(a.boxes, b.boxes)
    if same_class:
        overlap[a.classes[:, None] != b.classes[None, :]] = 0
    pairs: list[tuple[int, int]] = []
    while overlap.size and (best := float(np.max(overlap))) >= min_iou and best > 0:
        i, j = (int(place) for place in np.unravel_index(int(np.argmax(overlap)), overlap.shape))
        pairs.append((i, j))
        overlap[i, :] = overlap[:, j] = 0
    return pairs
