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


@dataclass(frozen=True, slots=True)
class ReferenceEmbeddings:
    """A sample of training images, as the last layer of a network sees them."""

    rows: Floats
    """(n, d), of unit length."""
    neighbours: int

    def distance(self, embedding: Floats) -> float:
        """The mean cosine distance, 0 to 2, from an embedding (d,) to its nearest neighbours."""
        length = max(float(np.linalg.norm(embedding)), 1e-12)
        near = np.partition(self.rows @ (embedding / np.float32(length)), -self.neighbours)[-self.neighbours :]
        return float(np.clip(1 - near.mean(), 0, 2))


def read_reference(package: Package, spec: OutOfDistribution) -> ReferenceEmbeddings:
    """The reference embeddings of a package.

    Raises:
        DamagedPackageError: its file holds something else than the manifest says.
    """
    path = package.root / spec.file
    output = package.manifest.output.embedding
    width = output.shape[-1] if output else 0
    rows = _load(path)
    whole = rows is not None and rows.ndim == 2 and rows.shape[1] == width and len(rows) >= spec.neighbours
    if rows is None or not whole or not np.isfinite(rows).all():
        wanted = f"{spec.neighbours} embeddings of {width} numbers"
        raise DamagedPackageError(
            f"{spec.file} of model {package.manifest.name} does not hold {wanted}", "package the model again"
        )
    return ReferenceEmbeddings(rows, spec.neighbours)


def _load(path: Path) -> Floats | None:
    """An array of floats; None if the file holds none. What is pickled would run code: such a file is not read."""
    try:
        rows = np.lib.format.open_memmap(path, mode="r", max_header_size=_MAX_HEADER)
    except (ValueError, EOFError):
        return None
    return np.array(rows, np.float32) if rows.dtype.kind == "f" else None
