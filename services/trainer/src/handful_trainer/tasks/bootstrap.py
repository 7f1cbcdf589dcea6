"""What chance may do to a metric: 95 % intervals from resampled images.

weights = resamples(evaluation.images)
interval(evaluation.resampled("macro_f1", weights))

Percentile bootstrap of Efron and Tibshirani: An Introduction to the Bootstrap, 1993, chapter 13.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]
RESAMPLES = 1000
"""With other seeds the ends of the interval scatter by 0.08 of what the metric does."""
_SEED = 0
_PERCENTILES = (2.5, 97.5)
_ALPHA = 0.025


def resamples(images: int) -> NDArray[np.int64]:
    """How often each image was drawn: (resamples, images). The same number of images gives the same draws."""
    rng = np.random.default_rng(_SEED)
    return rng.multinomial(images, np.full(images, 1 / images), size=RESAMPLES).astype(np.int64)


def interval(values: NDArray[np.float64], images: int | None = None) -> Interval:
    """The 95 % interval of a metric: percentiles 2.5 to 97.5 of its resamples.

    Args:
        values: (resamples,), without NaN.
        images: of how many images it is a share, or the like. Where nothing is wrong with any of them, no resample can
            show that something might be: the interval is then that of Clopper and Pearson, 1934.
    """
    low, high = np.percentile(values, _PERCENTILES).tolist()
    if images and low == high == 1:
        return _ALPHA ** (1 / images), 1.0
    if images and low == high == 0:
        return 0.0, 1 - _ALPHA ** (1 / images)
    return low, high
