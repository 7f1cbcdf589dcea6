"""What a classifier answered for each image, as a table."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def write_predictions(
    path: Path,
    classes: Sequence[str],
    truth: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    images: Sequence[Path],
) -> None:
    """Write image, its class, the first class of the answer and that one's probability, a line for each image.

    Args:
        path: the CSV file.
        classes: of the model, then those that only the dataset has.
        truth: (n,) class ids.
        probabilities: (n, classes of the model).
        images: n files.
    """
    answered = probabilities.argmax(axis=1)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("image", "actual", "predicted", "probability"))
        for image, real, first, values in zip(images, truth, answered, probabilities, strict=True):
            writer.writerow((image.name, classes[real], classes[first], f"{values[first]:.6f}"))
