"""One window of rows against the reference: which features differ, by more than chance makes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import betabinom, wasserstein_distance

from handful_core.profile import Feature, FeatureValue
from handful_monitor.domain.columns import Bins, numbers, words
from handful_monitor.domain.effective import Floats, autocorrelation_time, independent_rows
from handful_monitor.domain.null import NullDistributions, Statistic, distance, on_grid, p_value, threshold

LEAST_ROWS = 200
"""Fewer rows give no verdict."""
LEAST_EFFECTIVE = 25
"""Nor do rows that are worth fewer independent ones."""
ERROR_RATE = 0.005
"""How often a window in which nothing has changed may differ in any feature at all."""
_BODY, _TAIL = 1.25, 10.0
"""What p-values of a number's three tests are multiplied by: 1/1.25 + 2/10 of the error rate is all of it."""
_TAIL_SHARE = 0.01
_LEAST_SHIFT = 0.1
"""Of the reference's standard deviation: what is less matters to nobody, however sure it is."""
_LEAST_SHARE = 0.02
_SCALE = 0.05
"""Of the mean: the scale of a number that hardly varies in the reference."""

Columns = Mapping[str, Sequence[FeatureValue]]


@dataclass(frozen=True, slots=True)
class Window:
    """Rows of one stream, in the order of time."""

    columns: Columns
    weights: Floats
    """(n,): how many answers each row stands for."""
    first: datetime | None = None
    last: datetime | None = None

    def __len__(self) -> int:
        return len(self.weights)


@dataclass(frozen=True, slots=True)
class FeatureComparison:
    """What came of one feature.

    Attributes:
        statistic: which of the feature's tests spoke loudest.
        value: of the statistic.
        threshold: what it would have to be.
        p_value: corrected for the number of features, after Holm.
        differs: by more than chance, and by so much that it matters.
        then: what is usual in the reference: a median, a mean number, or shares of words.
        now: the same of the window.
        then_missing: the part of the reference's rows without a value.
        now_missing: the same of the window.
        effective: independent rows that the window is worth here.
    """

    feature: Feature
    statistic: str
    value: float
    threshold: float
    p_value: float
    differs: bool
    then: Any
    now: Any
    then_missing: float
    now_missing: float
    effective: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of a window; `features` is empty where its rows are too few."""

    rows: int
    effective: float
    """Independent rows that the window is worth, where serial correlation is left aside: that is each feature's own."""
    features: tuple[FeatureComparison, ...] = ()


class _Test(NamedTuple):
    statistic: str
    value: float
    p: float
    """Corrected for the number of tests of this feature."""
    factor: float
    null: Floats | None
    """None where the distribution is known."""


class Reference:
    """What a model was accepted on, ready for comparisons.

    Args:
        features: those that are compared.
        columns: values by a feature's name, one for each image.
        error_rate: how often a window in which nothing has changed may differ.
    """

    def __init__(self, features: Sequence[Feature], columns: Columns, error_rate: float = ERROR_RATE) -> None:
        self.features = tuple(feature for feature in features if len(columns[feature.name]))
        self._columns = columns
        self._error_rate = error_rate
        rows = list(zip(*(columns[feature.name] for feature in self.features), strict=True))
        self.effective = independent_rows(np.ones(len(rows)), rows)
        self._bins = {feature.name: Bins.of(feature.kind, columns[feature.name]) for feature in self.features}
        # A p-value as small as Holm's first step asks for must be possible, with some room.
        self._null = NullDistributions(replicates=int(2 * _BODY * max(1, len(self.features)) / error_rate))

    def compare(self, window: Window) -> Comparison:
        """Hold a window against the reference.

        Args:
            window: of rows in the order of time.

        Returns:
            Every feature that the window has; none if its rows are too few.
        """
        there = [f for f in self.features if f.name in window.columns]
        rows = list(zip(*(window.columns[f.name] for f in there), strict=True))
        effective = independent_rows(window.weights, rows) if there else 0.0
        if len(window) < LEAST_ROWS or effective < LEAST_EFFECTIVE or not self.effective:
            return Comparison(len(window), effective)
        tests = [self._test(feature, window, effective) for feature in there]
        adjusted, levels = holm([test.p for test, _ in tests], self._error_rate)
        return Comparison(
            len(window),
            effective,
            tuple(
                self._conclude(feature, window, test, p, level, rows)
                for feature, (test, rows), p, level in zip(there, tests, adjusted, levels, strict=True)
            ),
        )

    def _test(self, feature: Feature, window: Window, effective: float) -> tuple[_Test, float]:
        """The test that speaks loudest, and the rows that the window is worth in it."""
        values, bins = window.columns[feature.name], self._bins[feature.name]
        # Not both: pictures that come twice one after the other would be counted down twice.
        rows = max(1.0, min(effective, len(window) / autocorrelation_time(bins.series(values))))
        statistic: Statistic = "chi-square" if feature.kind == "category" else "kolmogorov-smirnov"
        then, now = bins.shares(self._columns[feature.name], self._ones()), bins.shares(values, window.weights)
        null = self._null.of(statistic, then, rows, self.effective)
        value = float(distance(statistic, then, now, on_grid(rows), int(self.effective)))
        factor = _BODY if feature.kind == "continuous" else 1.0
        body = _Test(statistic, value, min(1.0, factor * p_value(null, value)), factor, null)
        tails = self._tails(feature, window, rows) if feature.kind == "continuous" else ()
        return min((body, *tails), key=lambda test: test.p), rows

    def _tails(self, feature: Feature, window: Window, rows: float) -> tuple[_Test, ...]:
        """Rows beyond nearly all of the reference's, which a few strange pictures among many usual ones are."""
        reference, values = numbers(self._columns[feature.name]), numbers(window.columns[feature.name])
        found = []
        for name, sign in (("rows above", 1), ("rows below", -1)):
            cut, beyond = _cut(sign * reference)
            share = float(window.weights[sign * values > cut].sum() / window.weights.sum())
            p = float(_exceedances(beyond * self.effective, self.effective, rows).sf(np.floor(share * rows) - 1))
            found.append(_Test(name, share, min(1.0, _TAIL * p), _TAIL, None))
        return tuple(found)

    def _conclude(
        self, feature: Feature, window: Window, test: _Test, p: float, level: float, rows: float
    ) -> FeatureComparison:
        values, reference = window.columns[feature.name], self._columns[feature.name]
        then, then_missing = _summary(feature, reference, self._ones())
        now, now_missing = _summary(feature, values, window.weights)
        differs = p <= self._error_rate and self._matters(feature, window)
        limit = self._limit(feature, test, level, rows)
        return FeatureComparison(
            feature, test.statistic, test.value, limit, p, differs, then, now, then_missing, now_missing, rows
        )

    def _limit(self, feature: Feature, test: _Test, level: float, rows: float) -> float:
        """What the statistic had to be to differ, at this number of rows and this place in Holm's order."""
        if test.null is not None:
            return threshold(test.null, level / test.factor)
        sign = 1 if test.statistic == "rows above" else -1
        _, beyond = _cut(sign * numbers(self._columns[feature.name]))
        law = _exceedances(beyond * self.effective, self.effective, rows)
        return float(law.isf(level / test.factor) + 1) / rows

    def _matters(self, feature: Feature, window: Window) -> bool:
        values, reference = window.columns[feature.name], self._columns[feature.name]
        if feature.kind == "category":
            bins = self._bins[feature.name]
            gap = np.abs(bins.shares(values, window.weights) - bins.shares(reference, self._ones())).sum() / 2
            return bool(gap >= _LEAST_SHARE)
        then, now = numbers(reference), numbers(values)
        there, here = np.isfinite(then), np.isfinite(now)
        missing = float(window.weights[~here].sum() / window.weights.sum())
        if abs(missing - float(1 - there.mean())) >= _LEAST_SHARE:
            return True
        if not there.any() or not here.any():
            return False
        shift = wasserstein_distance(then[there], now[here], None, window.weights[here])
        scale = max(float(then[there].std()), _SCALE * abs(float(then[there].mean())))
        return bool(shift > _LEAST_SHIFT * scale)

    def _ones(self) -> Floats:
        return np.ones(len(self._columns[self.features[0].name]))


def holm(p_values: Sequence[float], error_rate: float) -> tuple[list[float], list[float]]:
    """Correct for looking at many features (Holm, 1979).

    Args:
        p_values: one for each.
        error_rate: of all of them together.

    Returns:
        Corrected p-values, and the level that each had to reach uncorrected.
    """
    order, count = np.argsort(p_values, kind="stable"), len(p_values)
    adjusted, levels, largest = [0.0] * count, [0.0] * count, 0.0
    for rank, place in enumerate(order.tolist()):
        largest = max(largest, min(1.0, (count - rank) * p_values[place]))
        adjusted[place], levels[place] = largest, error_rate / (count - rank)
    return adjusted, levels


def _cut(values: Floats) -> tuple[float, float]:
    """A value that only some of the reference's are at or above, and the part that are."""
    place = len(values) - max(1, int(np.ceil(_TAIL_SHARE * len(values))))
    cut = float(np.sort(values)[place])
    return cut, float(np.mean(values >= cut))


def _exceedances(beyond: float, of: float, rows: float) -> Any:
    """How many of new rows are above the reference's k-th highest (Gumbel and von Schelling, 1950).

    The part of the distribution above it follows a beta distribution, whatever the distribution is.
    """
    k = max(1.0, beyond)
    return betabinom(max(1, int(rows)), k, max(1.0, of - k + 1))


def _summary(feature: Feature, values: Sequence[FeatureValue], weights: Floats) -> tuple[Any, float]:
    if feature.kind == "category":
        names, places = np.unique(words(values), return_inverse=True)
        shares = np.bincount(places, weights=weights) / weights.sum()
        return {str(name): float(share) for name, share in zip(names, shares, strict=True)}, 0.0
    found = numbers(values)
    there = np.isfinite(found)
    missing = float(weights[~there].sum() / weights.sum())
    if not there.any():
        return None, missing
    if feature.kind == "count":
        return float(np.average(found[there], weights=weights[there])), missing
    return _median(found[there], weights[there]), missing


def _median(values: Floats, weights: Floats) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])
