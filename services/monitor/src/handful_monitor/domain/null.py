"""How far apart two samples of one distribution are by chance: the bootstrap of the reference."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from handful_monitor.domain.effective import Floats

_Shares = NDArray[np.float64] | NDArray[np.float32]
Statistic = Literal["kolmogorov-smirnov", "chi-square"]
_GRID = 1.15
"""Numbers of rows are rounded down to powers of this: thresholds rise by less than 8 % thereby, and are made once."""
_CELLS = 256
"""Parts that the reference is drawn from: shares of bins are rounded to them."""
_KEPT = 20
"""Samples of so many numbers of rows are kept, and as many nulls for each of a hundred features."""


def distance(statistic: Statistic, reference: _Shares, window: _Shares, rows: float, of: float) -> Floats:
    """How far a window's shares are from the reference's.

    Args:
        statistic: the largest difference of the cumulative shares, or the chi-square statistic of homogeneity.
        reference: (…, bins): cumulative shares, of which the last is 1.
        window: (…, bins): the same.
        rows: of the window.
        of: rows of the reference.

    Returns:
        (…,)
    """
    gaps = window - reference
    if statistic == "kolmogorov-smirnov":
        return np.asarray(np.abs(gaps).max(axis=-1))
    gaps, window, reference = (np.diff(each, axis=-1, prepend=0) for each in (gaps, window, reference))
    both = rows * window + of * reference
    squares = rows * of * gaps**2
    return np.asarray(np.divide(squares, both, out=np.zeros_like(both), where=both > 0).sum(axis=-1))


class NullDistributions:
    """What a statistic is where nothing has changed, by bootstrap from the reference at the current number of rows.

    Both samples are drawn anew: a reference of 300 images is itself a sample, and a window of 5,000 rows that is held
    against it as if it were the truth differs from it always. All features share what is drawn: a row's rank, of which
    each feature sees the bin.

    Args:
        replicates: how often two samples are drawn.
        seed: of the draws.
    """

    def __init__(self, replicates: int, seed: int = 0) -> None:
        self._replicates = replicates
        self._seed = seed
        self._samples: OrderedDict[tuple[int, str], NDArray[np.float32]] = OrderedDict()
        self._nulls: OrderedDict[tuple[Statistic, bytes, int, int], Floats] = OrderedDict()

    def of(self, statistic: Statistic, cumulative: Floats, rows: float, of: float) -> Floats:
        """The statistic's values without any change, rising.

        Args:
            statistic: which one.
            cumulative: (bins,): the reference's cumulative shares.
            rows: effective rows of the window.
            of: effective rows of the reference.
        """
        places = _cells(cumulative)
        n, m = on_grid(rows), max(1, int(of))
        key = (statistic, places.tobytes(), n, m)
        if key not in self._nulls:
            window, reference = self._sample(n, "window")[:, places], self._sample(m, "reference")[:, places]
            self._nulls[key] = np.sort(distance(statistic, reference, window, n, m))
            _drop(self._nulls, 100 * _KEPT)
        return self._nulls[key]

    def _sample(self, rows: int, role: str) -> NDArray[np.float32]:
        """(replicates, cells): cumulative shares of samples."""
        key = (rows, role)
        if key not in self._samples:
            random = np.random.default_rng([self._seed, rows, len(role)])
            cells = random.multinomial(rows, np.full(_CELLS, 1 / _CELLS), self._replicates)
            self._samples[key] = np.cumsum(cells, axis=1, dtype=np.float32) / np.float32(rows)
            _drop(self._samples, _KEPT)
        self._samples.move_to_end(key)
        return self._samples[key]


def on_grid(rows: float) -> int:
    """The number of rows that thresholds are made for: at most so many."""
    if rows < 2:
        return 1
    return int(_GRID ** np.floor(np.log(rows * (1 + 1e-9)) / np.log(_GRID)) + 1e-9)


def p_value(null: Floats, value: float) -> float:
    """The part of the values without any change that are as large; never 0 (Davison and Hinkley, 1997)."""
    # What is equal but for rounding counts as equal.
    larger = len(null) - int(np.searchsorted(null, value - 1e-6, side="left"))
    return (1 + larger) / (1 + len(null))


def threshold(null: Floats, level: float) -> float:
    """The least value of the null whose p-value is at most `level`; its largest where none is so rare."""
    allowed = int(level * (1 + len(null))) - 1
    return float(null[len(null) - 1 - max(0, allowed)])


def _cells(cumulative: Floats) -> NDArray[np.int64]:
    """The cells at which bins end. A bin that has rows has a cell, and what is rare is not rounded to never."""
    inside = cumulative[(cumulative > 1e-9) & (cumulative < 1 - 1e-9)]
    ends = np.clip(np.rint(inside * _CELLS), 1, _CELLS - 1)
    return np.append(np.unique(ends), _CELLS).astype(np.int64) - 1


def _drop(kept: OrderedDict[object, object] | OrderedDict, most: int) -> None:  # type: ignore[type-arg]
    while len(kept) > most:
        kept.popitem(last=False)
