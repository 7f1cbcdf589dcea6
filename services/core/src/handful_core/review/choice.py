"""Which pictures are worth a person's minute: how unsure a model is, and whether a picture shows anything new."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from handful_core.package import Manifest
from handful_core.vision.decode import Pixels
from handful_core.vision.detections import Detections, box_iou
from handful_core.vision.prediction import Prediction
from handful_core.vision.preprocess import Floats

NEW_SCENE = 0.1
"""Cosine distance from which on two pictures show two scenes.

Measured with `scene_vector` on photos of 480 x 360: pictures that were moved by 4 pixels and are a tenth brighter are
0.06 apart at most (95 in 100), different photos of hands more than 0.2, of leaves on white more than 0.1 (99 in 100).
"""
_SIDE = 16
_SAME_PLACE = 0.5
"""Overlap (IoU) from which on two boxes are one object."""


def uncertainty(prediction: Prediction, manifest: Manifest) -> float:
    """How unsure a model is of its answer, 0 to 1.

    The largest of what its answer tells:

    - a classifier's margin (1 less what the first class is ahead by) and its entropy, as a share of the largest;
    - a prediction set that is empty or has several classes;
    - a detector's box whose confidence is near a half, and two boxes of two classes in one place;
    - the distance to the training images: a half at the limit that the package knows.

    A detector that finds nothing is sure: nobody can tell a miss from an empty picture by its answer.

    Args:
        prediction: at the model's own thresholds.
        manifest: the model's.
    """
    found = [_distance(prediction, manifest)]
    if prediction.probabilities is not None:
        found += [_ambiguity(prediction.probabilities), _set(prediction)]
    else:
        found += [_doubt(prediction.detections), _contradiction(prediction.detections)]
    return min(1.0, max(found))


def scene_vector(pixels: Pixels) -> Floats:
    """What a picture looks like from afar: (768,), of unit length; two of one scene have a small cosine distance."""
    small = cv2.resize(pixels, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    return _unit((small - small.mean(axis=(0, 1))).ravel())


def answer_vector(prediction: Prediction, pixels: Pixels) -> Floats:
    """The model's own embedding of a picture, of unit length, where its package keeps one; else `scene_vector`."""
    if prediction.projected is None:
        return scene_vector(pixels)
    return _unit(np.asarray(prediction.projected[:-1], np.float32))


class Scenes:
    """The scenes that were kept so far: greedy k-centre, one picture at a time.

    A picture is a new centre if it is farther than a radius from all centres. The radius grows as the room for centres
    shrinks, so a busy morning leaves some of it for the evening.

    Args:
        room: centres at most.
        radius: cosine distance of the first ones.
    """

    def __init__(self, room: int, radius: float = NEW_SCENE) -> None:
        self._room = room
        self._radius = radius
        self._centres: list[Floats] = []

    def __len__(self) -> int:
        return len(self._centres)

    def is_new(self, vector: Floats) -> bool:
        """Whether a picture is far from all that were kept."""
        if len(self) >= self._room:
            return False
        near = [centre for centre in self._centres if len(centre) == len(vector)]
        if not near:
            return True
        radius = self._radius / (1 - len(self) / self._room)
        return float(1 - np.max(np.stack(near) @ vector)) >= radius

    def keep(self, vector: Floats) -> None:
        """A picture was kept."""
        self._centres.append(vector)


def k_centre(vectors: Sequence[Floats], count: int) -> list[int]:
    """Places of `count` vectors that cover all (Gonzalez's greedy 2-approximation, 1985), the first one first.

    Args:
        vectors: of unit length.
        count: at most so many.
    """
    if not len(vectors) or count < 1:
        return []
    rows = np.stack(list(vectors))
    chosen, nearest = [0], 1 - rows @ rows[0]
    while len(chosen) < min(count, len(rows)):
        place = int(np.argmax(nearest))
        chosen.append(place)
        nearest = np.minimum(nearest, 1 - rows @ rows[place])
        nearest[chosen] = -1
    return chosen


def _unit(vector: Floats) -> Floats:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12), np.float32)


def _distance(prediction: Prediction, manifest: Manifest) -> float:
    unlike = manifest.out_of_distribution
    if unlike is None or prediction.distance is None or unlike.distance <= 0:
        return 0.0
    return 0.5 * prediction.distance / unlike.distance


def _ambiguity(probabilities: Floats) -> float:
    ranked = np.sort(np.asarray(probabilities, np.float64))[::-1]
    if len(ranked) < 2:
        return 0.0
    entropy = -float(np.sum(ranked * np.log(np.maximum(ranked, 1e-12)))) / float(np.log(len(ranked)))
    return max(1 - float(ranked[0] - ranked[1]), entropy)


def _set(prediction: Prediction) -> float:
    classes = prediction.prediction_set
    if classes is None or len(classes) == 1 or prediction.probabilities is None:
        return 0.0
    if not classes:
        return 1.0
    return 0.5 + 0.5 * (len(classes) - 1) / max(1, len(prediction.probabilities) - 1)


def _doubt(found: Detections) -> float:
    return float((1 - np.abs(2 * found.scores - 1)).max()) if len(found) else 0.0


def _contradiction(found: Detections) -> float:
    overlap = np.triu(box_iou(found.boxes, found.boxes), 1)
    first, second = np.nonzero((overlap > _SAME_PLACE) & (found.classes[:, None] != found.classes[None, :]))
    if not len(first):
        return 0.0
    return float((1 - np.abs(found.scores[first] - found.scores[second])).max())
