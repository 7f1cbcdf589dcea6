"""One feature of many rows, as numbers that tests can count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from handful_core.profile import FeatureKind, FeatureValue
from handful_monitor.domain.effective import Floats

MISSING = -np.inf
"""Stands for a number that a row does not have, such as the score of no detection: lower than all others, so that one
test sees both, another share of rows without and other numbers."""
_BINS = 64
"""A step of the reference's distribution is at most this part of all rows, unless more rows have one value."""
_HEAVY = 1 / 100
"""A value that more than this part of the reference's rows have is looked at by itself."""


def numbers(values: Sequence[FeatureValue]) -> Floats:
    """(n,): `MISSING` where there is none, or a word."""
    return np.array([float(v) if isinstance(v, (int, float)) else MISSING for v in values], np.float64)


def words(values: Sequence[FeatureValue]) -> tuple[str, ...]:
    """n words: "" where there is none."""
    return tuple("" if value is None else str(value) for value in values)


@dataclass(frozen=True, slots=True)
class Bins:
    """Where the reference's distribution is compared: intervals of numbers, or words. The last bin is for new words.

    Attributes:
        edges: the upper ends of the intervals, inclusive, rising; the last interval has none.
        names: the words.
    """

    edges: Floats
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, kind: FeatureKind, values: Sequence[FeatureValue]) -> Bins:
        """Bins that hold about as many of the reference's rows each."""
        if kind == "category":
            return cls(np.zeros(0), tuple(sorted(set(words(values)))))
        return cls(_edges(numbers(values)))

    def __len__(self) -> int:
        return (len(self.names) if self.names else len(self.edges)) + 1

    def places(self, values: Sequence[FeatureValue]) -> NDArray[np.int64]:
        """(n,): the bin of each value."""
        if self.names:
            place = {name: i for i, name in enumerate(self.names)}
            return np.array([place.get(word, len(self.names)) for word in words(values)], np.int64)
        return np.searchsorted(self.edges, numbers(values), side="left").astype(np.int64)

    def shares(self, values: Sequence[FeatureValue], weights: Floats) -> Floats:
        """The part of all rows in each bin."""
        return np.bincount(self.places(values), weights=weights, minlength=len(self)) / weights.sum()

    def series(self, values: Sequence[FeatureValue]) -> Floats:
        """(n, k), for autocorrelation: ranks of numbers, which no outlier rules, or one column for each word."""
        if self.names:
            return np.eye(len(self))[self.places(values)]
        return np.asarray(rankdata(numbers(values)), np.float64)[:, None]


def _edges(values: Floats) -> Floats:
    atoms, counts = np.unique(values, return_counts=True)
    heavy = atoms[counts > max(1.0, _HEAVY * len(values))]
    quantiles = np.quantile(values, np.arange(1, _BINS) / _BINS, method="inverted_cdf")
    # Just below a heavy value as well: so it is a bin by itself.
    below = np.nextafter(heavy[np.isfinite(heavy)], -np.inf)
    return np.unique(np.concatenate([quantiles, heavy, below, atoms[-1:]]))
