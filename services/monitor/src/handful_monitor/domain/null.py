"""How far apart two samples of one distribution are by chance: the bootstrap of the reference."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from handful_monitor.domain.effective import Floats

_Shares = NDArray[np.float64] | NDArray[np.float32]
Statistic = Literal["kolmogorov-smirnov", "chi-square"]
_GRID = 2
"""Samples are drawn at numbers of rows that are powers of this, and are made once. A statistic on its standard scale
hardly depends on the number."""
_CELLS = 256
"""Parts that the reference is drawn from: shares of bins are rounded to them."""
_KEPT = 8
"""Samples of so many numbers of rows are kept: 14 megabytes each with 45 features."""
_NULLS = 2000
"""Nulls that are kept: 100 kilobytes each at most."""


def distance(statistic: Statistic, reference: _Shares, window: _Shares, rows: float, of: float) -> Floats:
    """How far a window's shares are from the reference's, on a scale that hardly depends on the numbers of rows.

    Args:
        statistic: the largest difference of the cumulative shares, by its `scale`, or the chi-square statistic of
            homogeneity.
        reference: (…, bins): cumulative shares, of which the last is 1.
        window: (…, bins): the same.
        rows: of the window.
        of: rows of the reference.

    Returns:
        (…,)
    """
    gaps = window - reference
    if statistic == "kolmogorov-smirnov":
        return np.asarray(np.abs(gaps).max(axis=-1) / scale(statistic, rows, of))
    gaps, window, reference = (np.diff(each, axis=-1, prepend=0) for each in (gaps, window, reference))
    both = rows * window + of * reference
    squares = rows * of * gaps**2
    return np.asarray(np.divide(squares, both, out=np.zeros_like(both), where=both > 0).sum(axis=-1))


def scale(statistic: str, rows: float, of: float) -> float:
    """What `distance` divides the largest difference of the cumulative shares by (Stephens, 1970)."""
    if statistic == "chi-square":
        return 1.0
    root = np.sqrt(rows * of / (rows + of))
    return float(1 / (root + 0.12 + 0.11 / root))


class NullDistributions:
    """What a statistic is where nothing has changed, by bootstrap from the reference at the current number of rows.

    Both samples are drawn anew: a reference of 300 images is itself a sample, and a window of 5,000 rows that is held
    against it as if it were the truth differs from it always. All features share what is drawn: a row's rank, of which
    each feature sees the bin.

    Args:
        seed: of the draws.
    """

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._samples: OrderedDict[tuple[int, int, str], NDArray[np.float32]] = OrderedDict()
        self._nulls: OrderedDict[tuple[Statistic, bytes, int, int, int], Floats] = OrderedDict()

    def of(self, statistic: Statistic, cumulative: Floats, rows: float, of: float, replicates: int) -> Floats:
        """The statistic's values without any change, rising.

        Args:
            statistic: which one.
            cumulative: (bins,): the reference's cumulative shares.
            rows: effective rows of the window.
            of: effective rows of the reference.
            replicates: how often two samples are drawn.
        """
        places = _cells(cumulative)
        n, m = on_grid(rows), max(1, int(of))
        key = (statistic, places.tobytes(), n, m, replicates)
        if key not in self._nulls:
            window = self._sample(n, replicates, "window")[places].T
            reference = self._sample(m, replicates, "reference")[places].T
            self._nulls[key] = np.sort(distance(statistic, reference, window, n, m))
            _drop(self._nulls, _NULLS)
        return self._nulls[key]

    def _sample(self, rows: int, replicates: int, role: str) -> NDArray[np.float32]:
        """(cells, replicates): cumulative shares of samples. A feature needs few of the cells: these lie together."""
        key = (rows, replicates, role)
        if key not in self._samples:
            random = np.random.default_rng([self._seed, rows, len(role)])
            cells = random.multinomial(rows, np.full(_CELLS, 1 / _CELLS), replicates)
            self._samples[key] = np.ascontiguousarray(np.cumsum(cells, axis=1, dtype=np.float32).T) / np.float32(rows)
            _drop(self._samples, _KEPT)
        self._samples.move_to_end(key)
        return self._samples[key]


def on_grid(rows: float) -> int:
    """The number of rows that samples are drawn with: at most so many."""
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
