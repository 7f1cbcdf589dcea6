"""How numbers are distributed, then and now, in bins that both share: to look at, not to decide by."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful_monitor.domain.columns import Column
from handful_monitor.domain.effective import Floats

_BINS = 16
_RARE = 0.005
"""Of both together: what is rarer at an end shares its last bin, so that one outlier does not flatten all others."""


def histogram(then: Column, now: Column) -> dict[str, Any] | None:
    """Parts of the rows in each bin, of those that have a value.

    Args:
        then: the reference's column.
        now: the window's.

    Returns:
        `edges`, one more than bins, and `then` and `now`, one part for each bin; None for words, and where there are no
        numbers.
    """
    if then.kind == "category":
        return None
    (old, old_weights), (new, new_weights) = _present(then), _present(now)
    if not len(old) or not len(new):
        return None
    edges = _counts(old, new) if then.kind == "count" else _edges(old, new)
    return {
        "edges": [float(f"{edge:.5g}") for edge in edges.tolist()],
        "then": _parts(old, old_weights, edges),
        "now": _parts(new, new_weights, edges),
    }


def _present(column: Column) -> tuple[Floats, Floats]:
    there = np.isfinite(column.values)
    return column.values[there], column.weights[there]


def _edges(then: Floats, now: Floats) -> NDArray[np.float64]:
    low = min(np.quantile(then, _RARE), np.quantile(now, _RARE))
    high = max(np.quantile(then, 1 - _RARE), np.quantile(now, 1 - _RARE))
    if high <= low:
        low, high = low - 0.5, low + 0.5
    return np.linspace(low, high, _BINS + 1)


def _counts(then: Floats, now: Floats) -> NDArray[np.float64]:
    """A bin for each number, as long as there are few of them."""
    most = max(np.quantile(then, 1 - _RARE), np.quantile(now, 1 - _RARE))
    width = max(1, int(np.ceil((most + 1) / _BINS)))
    return np.arange(0, most + 1 + width, width) - 0.5


def _parts(values: Floats, weights: Floats, edges: NDArray[np.float64]) -> list[float]:
    inside = np.clip(values, edges[0], np.nextafter(edges[-1], -np.inf))
    parts = np.histogram(inside, edges, weights=weights)[0] / weights.sum()
    return [round(part, 4) for part in parts.tolist()]
