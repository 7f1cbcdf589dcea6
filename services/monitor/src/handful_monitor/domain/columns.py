"""One feature of many rows, as arrays that tests can count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from handful_core.profile import FeatureKind, FeatureValue
from handful_monitor.domain.effective import Floats

MISSING = -np.inf
"""Stands for a number that a row does not have, such as the score of no detection: lower than all others, so that one
test sees both, another share of rows without and other numbers."""
_BINS = 64
"""A step of the reference's distribution is at most this part of all rows, unless more rows have one value."""
_HEAVY = 1 / 100
"""A value that more than this part of the reference's rows have is looked at by itself."""


@dataclass(frozen=True, slots=True)
class Column:
    """One feature of the rows that have it measured, in the order of time."""

    kind: FeatureKind
    values: NDArray[Any]
    """(n,): numbers, `MISSING` where there is none; of a category words, "" where there is none."""
    weights: Floats
    """(n,): how many answers each row stands for."""

    @classmethod
    def of(cls, kind: FeatureKind, values: Sequence[FeatureValue], weights: Floats | None = None) -> Self:
        """Make arrays of a log's or a profile's values; what is of another kind counts as missing."""
        if kind == "category":
            array: NDArray[Any] = np.array(["" if value is None else str(value) for value in values], np.str_)
        else:
            array = np.array([float(v) if isinstance(v, (int, float)) else MISSING for v in values], np.float64)
        return cls(kind, array, np.ones(len(array)) if weights is None else weights)

    def __len__(self) -> int:
        return len(self.weights)

    def take(self, places: NDArray[np.int64]) -> Column:
        """These rows of it."""
        return Column(self.kind, self.values[places], self.weights[places])


@dataclass(frozen=True, slots=True)
class Bins:
    """Where distributions are compared: the reference's words and all others, or intervals of numbers.

    Attributes:
        ends: the words, in order, or the upper ends of the intervals, inclusive, rising; one more has no end.
    """

    ends: NDArray[Any]

    @classmethod
    def of(cls, column: Column) -> Bins:
        """Bins that hold about as many of the reference's rows each."""
        return cls(np.unique(column.values) if column.kind == "category" else _edges(column.values))

    def places(self, column: Column) -> NDArray[np.int64]:
        """(n,): the bin of each row."""
        found = np.searchsorted(self.ends, column.values, side="left")
        if column.kind == "category":
            known = self.ends[np.minimum(found, len(self.ends) - 1)] == column.values
            found = np.where(known, found, len(self.ends))
        return found.astype(np.int64)

    def cumulative(self, column: Column) -> Floats:
        """(bins,): the part of all rows in each bin and those before."""
        return self.shares(self.places(column), column.weights)

    def shares(self, places: NDArray[np.int64], weights: Floats) -> Floats:
        """The same, of rows whose bins are known."""
        found = np.bincount(places, weights=weights, minlength=len(self.ends) + 1)
        return np.asarray(np.cumsum(found) / weights.sum())

    def series(self, places: NDArray[np.int64], kind: FeatureKind) -> Floats:
        """(n, k), for autocorrelation: middle ranks of bins, which no outlier rules, or one column for each word."""
        count = len(self.ends) + 1
        if kind == "category":
            return np.eye(count)[places]
        filled = np.bincount(places, minlength=count)
        return np.asarray((np.cumsum(filled) - filled / 2)[places], np.float64)[:, None]


def _edges(values: Floats) -> Floats:
    atoms, counts = np.unique(values, return_counts=True)
    heavy = atoms[counts > max(1.0, _HEAVY * len(values))]
    quantiles = np.quantile(values, np.arange(1, _BINS) / _BINS, method="inverted_cdf")
    # Just below a heavy value as well: so it is a bin by itself.
    below = np.nextafter(heavy[np.isfinite(heavy)], -np.inf)
    return np.unique(np.concatenate([quantiles, heavy, below, atoms[-1:]]))
