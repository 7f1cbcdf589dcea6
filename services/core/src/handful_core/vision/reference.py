"""How far an image is from those that a model was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from handful_core.package import OutOfDistribution, Package
from handful_core.package.errors import DamagedPackageError
from handful_core.vision.preprocess import Floats

_MAX_HEADER = 1000
"""Bytes."""
_TOLERANCE = 0.05
"""Directions are stored as float16: so far from right angles they may be."""


@dataclass(frozen=True, slots=True)
class EmbeddingReference:
    """What the training images are like, as the last layer of a network sees them."""

    mean: Floats
    """(d,), of their embeddings of unit length."""
    directions: Floats
    """(k, d): orthonormal, along which these differ most."""

    def distance(self, embedding: Floats) -> float:
        """The length of what an embedding (d,), at unit length, has outside of these directions: 0 to 2."""
        length = max(float(np.linalg.norm(embedding)), 1e-12)
        rest = embedding / np.float32(length) - self.mean
        return float(np.linalg.norm(rest - (self.directions @ rest) @ self.directions))


def read_reference(package: Package, spec: OutOfDistribution) -> EmbeddingReference:
    """What a package knows of its training images.

    Raises:
        DamagedPackageError: its file holds something else than the manifest says.
    """
    rows = read_directions(package, spec.file)
    return EmbeddingReference(rows[0], rows[1:])


def read_directions(package: Package, file: str, directions: int | None = None) -> Floats:
    """A mean of embeddings, then orthonormal directions: (1 + directions, d).

    Args:
        package: carries them.
        file: where, in it.
        directions: how many there are; any number if None.

    Raises:
        DamagedPackageError: the file holds something else.
    """
    output = package.manifest.output.embedding
    width = output.shape[-1] if output else 0
    rows = _load(package.root / file)
    if rows is None or not _fits(rows, width, directions) or not _is_orthonormal(rows[1:]):
        raise DamagedPackageError(
            f"{file} of model {package.manifest.name} does not hold a mean and directions of {width} numbers",
            "package the model again",
        )
    return rows


def _fits(rows: Floats, width: int, directions: int | None) -> bool:
    return rows.ndim == 2 and rows.shape[1] == width and len(rows) > 0 and directions in {None, len(rows) - 1}


def _is_orthonormal(rows: Floats) -> bool:
    """Are all numbers, and the rows of unit length and at right angles? Values that are no number give False."""
    with np.errstate(invalid="ignore", over="ignore"):
        return bool((np.abs(rows @ rows.T - np.eye(len(rows))) < _TOLERANCE).all())


def _load(path: Path) -> Floats | None:
    """An array of floats; None if the file holds none. What is pickled would run code: such a file is not read."""
    try:
        rows = np.lib.format.open_memmap(path, mode="r", max_header_size=_MAX_HEADER)
    except (ValueError, EOFError):
        return None
    return np.array(rows, np.float32) if rows.dtype.kind == "f" and np.isfinite(rows).all() else None
