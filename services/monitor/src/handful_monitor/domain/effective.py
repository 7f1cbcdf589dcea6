"""How many independent rows a window is worth.

Tests take rows for independent. A video's frames are not, nor is a picture that a client sends again and again: taken
for independent, they make a change out of chance. So each test is told the effective number of rows, which is lower.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

Floats = NDArray[np.float64]
_NOISE = 1.645
"""Standard deviations of a sum of two autocorrelations of independent rows, which one in twenty exceeds."""


def independent_rows(weights: Floats, rows: Sequence[Hashable]) -> float:
    """Kish's effective sample size, where rows that are the same in everything count as one heavy row.

    Args:
        weights: (n,): how many answers each row stands for.
        rows: n: what each row says; equal ones come from one picture.

    Returns:
        From 1 to n; 0 without rows.
    """
    _, groups = np.unique([hash(row) for row in rows], return_inverse=True)
    return kish(np.asarray(np.bincount(groups, weights=weights), np.float64))


def kish(weights: Floats) -> float:
    """How many equal weights vary as little as these (Kish, 1965): (Σw)² / Σw²."""
    squares = float(np.sum(weights**2))
    return float(np.sum(weights)) ** 2 / squares if squares else 0.0


def autocorrelation_time(values: Floats) -> float:
    """After how many rows a series has forgotten what it was: at least 1, which is the value of independent rows.

    The integrated autocorrelation time by Geyer's initial monotone sequence (Practical Markov chain Monte Carlo, 1992).

    Args:
        values: (n, k), in the order of time: k numbers of each row, whose autocovariances are added up.
    """
    n = len(values)
    if n < 4:
        return 1.0
    centred = values - values.mean(axis=0)
    # Padded with zeros to twice the length, or the end would be correlated with the beginning.
    size = next_fast_len(2 * n, real=True)
    power = np.abs(rfft(centred, size, axis=0)) ** 2
    covariance = irfft(power.sum(axis=1), size)[: n - n % 2]
    if covariance[0] <= 1e-12 * n:
        return 1.0
    pairs = (covariance / covariance[0]).reshape(-1, 2).sum(axis=1)
    # What independent rows have by chance ends the sum as well: it would take power from every test.
    ended = np.flatnonzero(pairs <= _NOISE * np.sqrt(2 / n))
    significant = pairs[: ended[0]] if len(ended) else pairs
    return max(1.0, 2 * float(np.minimum.accumulate(significant).sum()) - 1)
