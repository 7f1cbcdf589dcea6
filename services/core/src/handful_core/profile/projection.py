"""Embeddings in few numbers: coordinates along directions that a package carries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from handful_core.package import Package
from handful_core.package.manifest import ProfileSpec
from handful_core.vision.preprocess import Floats
from handful_core.vision.reference import read_directions

DIRECTIONS = 16
"""Numbers that an embedding becomes."""
PROJECTION_FILE = "projection.npy"


@dataclass(frozen=True, slots=True)
class Projection:
    """A mean, and orthonormal directions from there."""

    mean: Floats
    """(d,), of embeddings at unit length."""
    directions: Floats
    """(k, d)"""

    def __call__(self, embedding: Floats) -> Floats:
        """(d,) to (k + 1,): the coordinates of an embedding at unit length, and the length of what they leave of it."""
        length = max(float(np.linalg.norm(embedding)), 1e-12)
        centred = embedding / np.float32(length) - self.mean
        coordinates = self.directions @ centred
        rest = float(np.linalg.norm(centred - coordinates @ self.directions))
        return np.append(coordinates, np.float32(rest))


def fit_projection(embeddings: Floats, directions: int = DIRECTIONS) -> Floats:
    """The mean of embeddings at unit length, and the principal directions along which they differ.

    Fit it on images that are not compared by it later: those that it was fitted on leave less of a rest than others.

    Args:
        embeddings: (n, d)
        directions: at most so many, and fewer than images.

    Returns:
        (1 + directions, d), as float16 holds them.
    """
    rows = np.asarray(embeddings, np.float64)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    mean = rows.mean(axis=0)
    _, _, axes = np.linalg.svd(rows - mean, full_matrices=False)
    kept = axes[: min(directions, len(rows) - 1)]
    # A direction and its opposite are one. Its largest part is positive, so that every run writes the same.
    signs = np.sign(kept[np.arange(len(kept)), np.abs(kept).argmax(axis=1)])
    return np.asarray(np.vstack([mean, kept * signs[:, None]]).astype(np.float16), np.float32)


def read_projection(package: Package, spec: ProfileSpec) -> Projection | None:
    """The projection that a package carries; None if it has none.

    Raises:
        DamagedPackageError: its file holds something else than the manifest says.
    """
    if spec.projection is None:
        return None
    rows = read_directions(package, spec.projection, spec.directions)
    return Projection(rows[0], rows[1:])
