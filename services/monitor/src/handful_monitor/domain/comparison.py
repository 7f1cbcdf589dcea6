"""One window of rows against the reference: which features differ, by more than chance makes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import betabinom, wasserstein_distance

from handful_core.profile import Feature, FeatureValue
from handful_monitor.domain import LEAST_ROWS
from handful_monitor.domain.columns import Bins, Column
from handful_monitor.domain.effective import Floats, autocorrelation_time, independent_rows
from handful_monitor.domain.null import NullDistributions, Statistic, distance, p_value, scale, threshold
from handful_monitor.domain.window import Window

LEAST_EFFECTIVE = 25
"""Rows that are worth fewer independent ones give no verdict either."""
ERROR_RATE = 0.005
"""How often a window in which nothing has changed may differ in any feature at all."""
_BODY, _TAIL = 1.25, 10.0
"""What p-values of a number's three tests are multiplied by: 1/1.25 + 2/10 of the error rate is all of it."""
_ROOM = 1.2
"""Times as many samples are drawn as the smallest p-value needs that Holm's first step asks for."""
_TAIL_SHARE = 0.01
_SIGNS = {"rows above": 1, "rows below": -1}
LEAST_MEASURED = 100
"""Rows that must have a feature for it to be compared: a request with thresholds of its own has no usual answer."""
_LEAST_SHIFT = 0.1
"""Of the reference's standard deviation: what is less matters to nobody, however sure it is."""
_LEAST_SHARE = 0.02
_SCALE = 0.05
"""Of the mean: the scale of a number that hardly varies in the reference."""
_SMALLEST = 1e-9

Columns = Mapping[str, Sequence[FeatureValue]]


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
        null: what statistics are by chance: several references may share it.
    """

    def __init__(
        self,
        features: Sequence[Feature],
        columns: Columns,
        error_rate: float = ERROR_RATE,
        null: NullDistributions | None = None,
    ) -> None:
        self.features = tuple(feature for feature in features if len(columns[feature.name]))
        self._error_rate = error_rate
        rows = list(zip(*(columns[feature.name] for feature in self.features), strict=True))
        self.effective = independent_rows(np.ones(len(rows)), rows)
        self._columns = {feature.name: Column.of(feature.kind, columns[feature.name]) for feature in self.features}
        self._bins = {name: Bins.of(column) for name, column in self._columns.items()}
        self._shares = {name: self._bins[name].cumulative(column) for name, column in self._columns.items()}
        self._cuts = {
            (f.name, name): _cut(sign * self._columns[f.name].values)
            for f in self.features if f.kind == "continuous" for name, sign in _SIGNS.items()
        }  # fmt: skip
        self._summaries = {name: _summary(column) for name, column in self._columns.items()}
        self._replicates = int(_ROOM * _BODY * max(1, len(self.features)) / error_rate)
        self._null = null or NullDistributions()

    def compare(self, window: Window) -> Comparison:
        """Hold a window against the reference.

        Returns:
            Every feature that enough of the window's rows have; none if its rows are too few.
        """
        there = [f for f in self.features if len(window.columns.get(f.name, ())) >= LEAST_MEASURED]
        enough = window.rows >= LEAST_ROWS and min(window.effective, self.effective) >= LEAST_EFFECTIVE
        if not there or not enough:
            return Comparison(window.rows, window.effective)
        tests = [self._test(feature, window) for feature in there]
        adjusted, levels = holm([test.p for test, _ in tests], self._error_rate)
        found = [
            self._conclude(feature, window.columns[feature.name], test, p, level, rows)
            for feature, (test, rows), p, level in zip(there, tests, adjusted, levels, strict=True)
        ]
        return Comparison(window.rows, window.effective, tuple(found))

    def _test(self, feature: Feature, window: Window) -> tuple[_Test, float]:
        """The test that speaks loudest, and the rows that the window is worth in it."""
        column, bins = window.columns[feature.name], self._bins[feature.name]
        # Not both: pictures that come twice, one after the other, would be counted down twice.
        distinct = window.effective * len(column) / window.rows
        places = bins.places(column)
        rows = max(1.0, min(distinct, len(column) / autocorrelation_time(bins.series(places, feature.kind))))
        statistic: Statistic = "chi-square" if feature.kind == "category" else "kolmogorov-smirnov"
        then, now = self._shares[feature.name], bins.shares(places, column.weights)
        null = self._null.of(statistic, then, rows, self.effective, self._replicates)
        value = float(distance(statistic, then, now, rows, self.effective))
        factor = _BODY if feature.kind == "continuous" else 1.0
        body = _Test(statistic, value, min(1.0, factor * p_value(null, value)), factor, null)
        tails = self._tails(feature, column, rows) if feature.kind == "continuous" else ()
        # No bootstrap gives a smaller p-value: where it is reached, a shift of everything says more than its tail.
        least = _BODY / (1 + len(null))
        return min((body, *tails), key=lambda test: max(test.p, least)), rows

    def _tails(self, feature: Feature, column: Column, rows: float) -> tuple[_Test, ...]:
        """Rows beyond nearly all of the reference's, which a few strange pictures among many usual ones are."""
        found = []
        for name, sign in _SIGNS.items():
            cut, beyond = self._cuts[feature.name, name]
            share = float(column.weights[sign * column.values > cut].sum() / column.weights.sum())
            law = _exceedances(beyond * self.effective, self.effective, rows)
            # No more rows than usual are no sign of a change: that is quicker told than by how much.
            p = float(betabinom.sf(np.floor(share * rows) - 1, *law)) if share > beyond else 1.0
            found.append(_Test(name, share, min(1.0, _TAIL * p), _TAIL, None))
        return tuple(found)

    def _conclude(
        self, feature: Feature, column: Column, test: _Test, p: float, level: float, rows: float
    ) -> FeatureComparison:
        then, then_missing = self._summaries[feature.name]
        now, now_missing = _summary(column)
        differs = p <= self._error_rate and self._matters(feature, column)
        unit = scale(test.statistic, rows, self.effective) if test.null is not None else 1.0
        value, limit = unit * test.value, unit * self._limit(feature, test, level, rows)
        return FeatureComparison(
            feature, test.statistic, value, limit, p, differs, then, now, then_missing, now_missing, rows
        )

    def _limit(self, feature: Feature, test: _Test, level: float, rows: float) -> float:
        """What the statistic had to be to differ, at this number of rows and this place in Holm's order."""
        if test.null is not None:
            return threshold(test.null, level / test.factor)
        _, beyond = self._cuts[feature.name, test.statistic]
        law = _exceedances(beyond * self.effective, self.effective, rows)
        return float(betabinom.isf(level / test.factor, *law) + 1) / rows

    def _matters(self, feature: Feature, column: Column) -> bool:
        reference = self._columns[feature.name]
        if feature.kind == "category":
            then, now = (np.diff(self._bins[feature.name].cumulative(c), prepend=0) for c in (reference, column))
            return bool(np.abs(now - then).sum() / 2 >= _LEAST_SHARE)
        return _shift(reference.values, column.values, column.weights) > _LEAST_SHIFT


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


def _exceedances(beyond: float, of: float, rows: float) -> tuple[int, float, float]:
    """How many of new rows are above the reference's k-th highest (Gumbel and von Schelling, 1950).

    The part of the distribution above it follows a beta distribution, whatever the distribution is. So their number
    follows a beta-binomial one, of which these are the parameters.
    """
    k = max(1.0, beyond)
    return max(1, int(rows)), k, max(1.0, of - k + 1)


def _shift(then: Floats, now: Floats, weights: Floats) -> float:
    """How far numbers have moved on average, in the reference's standard deviations; infinite if they are missing."""
    there, here = np.isfinite(then), np.isfinite(now)
    missing = float(weights[~here].sum() / weights.sum())
    if abs(missing - float(1 - there.mean())) >= _LEAST_SHARE:
        return np.inf
    if not there.any() or not here.any():
        return 0.0
    scale = max(float(then[there].std()), _SCALE * abs(float(then[there].mean())), _SMALLEST)
    return float(wasserstein_distance(then[there], now[here], None, weights[here])) / scale


def _summary(column: Column) -> tuple[Any, float]:
    weights = column.weights
    if column.kind == "category":
        names, places = np.unique(column.values, return_inverse=True)
        shares = np.bincount(places, weights=weights) / weights.sum()
        return {str(name): float(share) for name, share in zip(names, shares, strict=True)}, 0.0
    found = column.values
    there = np.isfinite(found)
    missing = float(weights[~there].sum() / weights.sum())
    if not there.any():
        return None, missing
    if column.kind == "count":
        return float(np.average(found[there], weights=weights[there])), missing
    return _median(found[there], weights[there]), missing


def _median(values: Floats, weights: Floats) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])
