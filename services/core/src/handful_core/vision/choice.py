"""Which pictures are worth a person's minute: those that a model is unsure of, and no two of one scene.

unsure = class_uncertainty(probabilities)
for index in choose(unsure, embeddings, 100):
    …
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from handful_core.vision.detections import Detections

_POOL = 4
"""So many times as many candidates as are chosen: the unsurest ones. Diversity chooses among them."""
_FAINT = 0.1
"""Scores below it say that a detector saw next to nothing."""


def class_uncertainty(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """How unsure a classifier is, 0 to 1: one less the margin between its first two classes.

    Margin sampling (Scheffer, Decomain, Wrobel: Active Hidden Markov Models for Information Extraction, 2001).

    Args:
        probabilities: (n, classes)

    Returns:
        (n,)
    """
    if probabilities.shape[1] < 2:
        return np.zeros(len(probabilities), np.float32)
    second, first = np.partition(probabilities, -2, axis=1)[:, -2:].T
    return np.asarray(1 - (first - second), np.float32)


def box_uncertainty(found: Detections, confidence: float) -> float:
    """How unsure a detector is of an image, 0 to 1: that of its least sure box.

    A box whose score is at the threshold may be shown or not: 1. One of score 1 is sure, and so is an image in which
    nothing was found, not even faintly: 0.

    Args:
        found: down to low scores, well below the threshold; class by class, so that two classes of one object count.
        confidence: from which on a box is served.
    """
    scores = found.scores[found.scores > _FAINT * confidence]
    above = (1 - scores) / max(1 - confidence, 1e-6)
    below = scores / max(confidence, 1e-6)
    return float(np.where(scores >= confidence, above, below).max(initial=0.0))


def choose(
    unsure: NDArray[np.float32],
    embeddings: NDArray[np.float32],
    number: int,
    known: NDArray[np.float32] | None = None,
) -> list[int]:
    """Choose pictures that a model is unsure of and that differ from each other.

    Greedy k-centre (Sener, Savarese: Active Learning for Convolutional Neural Networks, 2018) among the unsurest
    pictures: the next one is that with the largest product of uncertainty and cosine distance to what is chosen.

    Args:
        unsure: (n,), not below 0.
        embeddings: (n, d), of any length.
        number: how many at most.
        known: (m, d) embeddings of pictures that were chosen before, or None.

    Returns:
        Their places, the most valuable first.
    """
    candidates = np.argsort(-unsure, kind="stable")[: number * _POOL]
    if not len(candidates) or number < 1:
        return []
    rows = _unit(embeddings[candidates])
    nearest = _distances(rows, _unit(known)) if known is not None and len(known) else np.ones(len(rows), np.float32)
    weights, chosen = unsure[candidates] + np.float32(1e-6), []
    for _ in range(min(number, len(candidates))):
        best = int(np.argmax(np.where(nearest < 0, -1, weights * nearest)))
        chosen.append(int(candidates[best]))
        nearest = np.minimum(nearest, np.maximum(1 - rows @ rows[best], 0))
        nearest[best] = -1
    return chosen


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)


def _distances(rows: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n,): cosine distance of each row to the nearest of the others."""
    return np.asarray(np.maximum(1 - (rows @ others.T).max(axis=1), 0), np.float32)
