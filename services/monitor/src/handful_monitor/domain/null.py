"""How far apart two samples of one distribution are by chance: the bootstrap of the reference."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from handful_monitor.domain.effective import Floats

Statistic = Literal["kolmogorov-smirnov", "chi-square"]
_GRID = 1.08
"""Numbers of rows are rounded down to powers of this: thresholds rise by less than 4 % thereby, and are made once."""
_CHUNK = 4096


def distance(statistic: Statistic, reference: Floats, window: Floats, rows: float, of: float) -> Floats:
    """How far a window's shares are from the reference's.

    Args:
        statistic: the largest difference of the cumulative shares, or the chi-square statistic of homogeneity.
        reference: (…, bins): shares.
        window: (…, bins): shares.
        rows: of the window.
        of: rows of the reference.

    Returns:
        (…,)
    """
    if statistic == "kolmogorov-smirnov":
        return np.asarray(np.abs(np.cumsum(window - reference, axis=-1)).max(axis=-1))
    both = rows * window + of * reference
    squares = rows * of * (window - reference) ** 2
    return np.asarray(np.divide(squares, both, out=np.zeros_like(both), where=both > 0).sum(axis=-1))


@dataclass(slots=True)
class NullDistributions:
    """What a statistic is where nothing has changed, by bootstrap from the reference at the current number of rows.

    Both samples are drawn anew: a reference of 300 images is itself a sample, and a window of 5,000 rows that is held
    against it as if it were the truth differs from it always. What was drawn is kept: features with the same bins, and
    windows of about the same number of rows, share it.

    Args:
        replicates: how often two samples are drawn.
        seed: of the draws.
    """

    replicates: int
    seed: int = 0
    _drawn: dict[tuple[Statistic, bytes, int, int], Floats] = field(default_factory=dict)

    def of(self, statistic: Statistic, shares: Floats, rows: float, of: float) -> Floats:
        """The statistic's values without any change, rising.

        Args:
            statistic: which one.
            shares: (bins,): the reference's.
            rows: effective rows of the window.
            of: effective rows of the reference.
        """
        n, m = on_grid(rows), max(1, int(of))
        filled = shares[shares > 0]
        key = (statistic, np.round(filled * 1e9).astype(np.int64).tobytes(), n, m)
        if key not in self._drawn:
            self._drawn[key] = self._draw(statistic, filled / filled.sum(), n, m)
        return self._drawn[key]

    def _draw(self, statistic: Statistic, shares: Floats, rows: int, of: int) -> Floats:
        random = np.random.default_rng([self.seed, rows, of, len(shares)])
        found = []
        for start in range(0, self.replicates, _CHUNK):
            size = min(_CHUNK, self.replicates - start)
            window = random.multinomial(rows, shares, size) / rows
            reference = random.multinomial(of, shares, size) / of
            found.append(distance(statistic, reference, window, rows, of))
        return np.sort(np.concatenate(found))


def on_grid(rows: float) -> int:
    """The number of rows that thresholds are made for: at most so many."""
    if rows < 2:
        return 1
    return int(_GRID ** np.floor(np.log(rows * (1 + 1e-9)) / np.log(_GRID)) + 1e-9)


def p_value(null: Floats, value: float) -> float:
    """The part of the values without any change that are as large; never 0 (Davison and Hinkley, 1997)."""
    # What is equal but for rounding counts as equal.
    larger = len(null) - int(np.searchsorted(null, value - 1e-9, side="left"))
    return (1 + larger) / (1 + len(null))


def threshold(null: Floats, level: float) -> float:
    """The least value whose p-value is at most `level`."""
    allowed = int(level * (1 + len(null))) - 1
    return float(null[len(null) - 1 - max(0, allowed)])
