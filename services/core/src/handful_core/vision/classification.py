"""What a classifier's outputs say of an image: probabilities, and which classes it may well show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from handful_core.vision.preprocess import Floats, ResizeTransform


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where in the image a class was seen: a class activation map (Zhou et al., 2016)."""

    class_id: int
    values: Floats
    """(rows, columns), 0 to 1: what speaks for the class rather than the others, as a share of the largest."""
    box: tuple[float, float, float, float]
    """What the map covers: x1, y1, x2, y2 in pixels of the image, beyond its edges where it was padded."""
    exact: bool
    """Whether the class's logit is the mean of its map plus a constant."""

    def scaled(self, x: float, y: float) -> Explanation:
        """The same in an image that is larger by these factors."""
        left, top, right, bottom = self.box
        return replace(self, box=(left * x, top * y, right * x, bottom * y))


def softmax(logits: Floats) -> Floats:
    """(…, classes) to probabilities that add up to 1."""
    powers = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
    return np.asarray(powers / np.sum(powers, axis=-1, keepdims=True), np.float32)


def in_set(probabilities: Floats, least: float) -> NDArray[np.bool_]:
    """Which classes belong to an image's prediction set: (…, classes) for probabilities of the same shape.

    Args:
        probabilities: calibrated.
        least: the manifest's `prediction_sets.probability`.
    """
    first = np.arange(probabilities.shape[-1]) == probabilities.argmax(axis=-1)[..., None]
    return np.asarray((probabilities >= least) | first)


def explanation(
    maps: Floats, class_id: int, transform: ResizeTransform, size: Sequence[int], *, exact: bool
) -> Explanation:
    """A class's map, as shares of its largest value.

    What all classes see alike changes no probability, so the mean of their maps is taken away first.

    Args:
        maps: (classes, rows, columns), the graph's output for one image.
        class_id: of these.
        transform: how the image was laid into the model's input.
        size: width and height of the input.
        exact: whether the class's logit is the mean of its map plus a constant.
    """
    evidence = np.clip(maps[class_id] - maps.mean(axis=0), 0, None)
    values = np.asarray(evidence / max(float(evidence.max()), 1e-9), np.float32)
    left, top = -transform.left / transform.scale_x, -transform.top / transform.scale_y
    right, bottom = left + size[0] / transform.scale_x, top + size[1] / transform.scale_y
    return Explanation(class_id, values, (left, top, right, bottom), exact)
