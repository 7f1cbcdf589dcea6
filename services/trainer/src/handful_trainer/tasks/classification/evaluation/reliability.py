"""Is a classifier right as often as it says it is?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful_trainer.tasks.bootstrap import RESAMPLES, Interval, interval

BINS = 15
"""As Guo, Pleiss, Sun and Weinberger: On Calibration of Modern Neural Networks, 2017."""


class CalibrationBins:
    """Answers in bins of equal width by how probable they were said to be.

    Args:
        confidence: (images,), the probability of each answer; bins hold their upper end.
        right: (images,), which answers are right.
    """

    def __init__(self, confidence: NDArray[np.float32], right: NDArray[np.bool_]) -> None:
        self._confidence, self._right = confidence.astype(np.float64), right.astype(np.float64)
        self._bins = np.clip(np.ceil(self._confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)

    def error(self, draws: NDArray[np.int64]) -> NDArray[np.float64]:
        """The expected calibration error (ECE) of resamples, (resamples, images): the bins' mean gap, by their size."""
        gaps = (self._confidence - self._right)[:, None] * self._members
        return np.asarray(np.abs(draws @ gaps).sum(axis=1) / draws.sum(axis=1))

    def error_interval(self, draws: NDArray[np.int64]) -> Interval:
        """The 95 % interval of the error.

        Every resampling adds to a mean of absolute gaps, so that percentiles would lie too high: they are mirrored at
        the measured error (basic bootstrap). It begins at 0 if a model that is perfectly calibrated would often measure
        as much on so few images (consistency resampling: Bröcker and Smith, 2007). In simulations of 100 and 336 images
        it held the true error in 88 to 97 % of 200 test sets, the percentiles in 0 to 94 %.
        """
        measured = float(self.error(np.ones((1, len(self._right)), np.int64))[0])
        low, high = interval(self.error(draws))
        by_chance = measured <= interval(self._errors_by_chance())[1]
        return 0.0 if by_chance else max(0.0, 2 * measured - high), max(0.0, 2 * measured - low)

    def _errors_by_chance(self) -> NDArray[np.float64]:
        """Errors that are measured of answers which are right as often as they say."""
        rng, members = np.random.default_rng(0), self._members
        right = (rng.random(len(self._confidence)) < self._confidence for _ in range(RESAMPLES))
        return np.asarray([np.abs((self._confidence - drawn) @ members).sum() for drawn in right]) / len(self._right)

    @property
    def _members(self) -> NDArray[np.float64]:
        """(images, bins): 1 where the image is in the bin."""
        return np.eye(BINS)[self._bins]

    def as_json(self) -> list[dict[str, Any]]:
        """The reliability diagram: the bins that hold images."""
        found = []
        for number in np.unique(self._bins).tolist():
            inside = self._bins == number
            found.append(
                {
                    "from": number / BINS,
                    "to": (number + 1) / BINS,
                    "images": int(inside.sum()),
                    "confidence": float(self._confidence[inside].mean()),
                    "accuracy": float(self._right[inside].mean()),
                }
            )
        return found
