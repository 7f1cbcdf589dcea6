"""The tests that decide: false alarms, power, repeated and correlated rows, on numbers that are drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import kstwo

from handful_core.profile import Feature
from handful_monitor.domain.columns import MISSING, Bins, Column
from handful_monitor.domain.comparison import Comparison, Reference, holm
from handful_monitor.domain.effective import autocorrelation_time, independent_rows, kish
from handful_monitor.domain.null import NullDistributions, distance, p_value, scale, threshold
from handful_monitor.domain.window import Window, columns_of

FEATURES = (
    Feature("brightness", "continuous"),
    Feature("sharpness", "continuous"),
    Feature("score_mean", "continuous"),
    Feature("detections", "count"),
    Feature("first_class", "category"),
)


def rows(random: np.random.Generator, count: int, *, dark: float = 0.0) -> list[dict[str, object]]:
    found = random.poisson(1.2, count)
    return [
        {
            "brightness": float(b) - dark,
            "sharpness": float(s),
            "score_mean": float(m) if n else None,
            "detections": int(n),
            "first_class": str(c) if n else "",
        }
        for b, s, m, n, c in zip(
            random.normal(0.5, 0.1, count),
            random.lognormal(0, 0.5, count),
            random.beta(8, 2, count),
            found,
            random.choice(list("abcd"), count, p=[0.5, 0.3, 0.15, 0.05]),
            strict=True,
        )
    ]


def window(found: list[dict[str, object]], weights: np.ndarray | None = None) -> Window:
    weights = np.ones(len(found)) if weights is None else weights
    same = [tuple(row.values()) for row in found]
    return Window(columns_of(found, weights, FEATURES), len(found), independent_rows(weights, same))  # type: ignore[arg-type]


def reference(random: np.random.Generator, count: int = 300) -> Reference:
    found = rows(random, count)
    return Reference(FEATURES, {f.name: [row[f.name] for row in found] for f in FEATURES})  # type: ignore[misc]


def differing(comparison: Comparison) -> set[str]:
    return {found.feature.name for found in comparison.features if found.differs}


def test_what_has_not_changed_hardly_ever_differs() -> None:
    """At most 0.5 % of windows are to differ; of 150, more than 4 would come by chance once in a thousand times."""
    alarms = 0
    for seed in range(5):
        random = np.random.default_rng(seed)
        accepted = reference(random)
        alarms += sum(bool(differing(accepted.compare(window(rows(random, 250))))) for _ in range(30))
    assert alarms <= 4


def test_a_change_is_found_and_told_with_its_size() -> None:
    random = np.random.default_rng(1)
    found = reference(random).compare(window(rows(random, 250, dark=0.15)))
    assert differing(found) == {"brightness"}
    (dark,) = (each for each in found.features if each.differs)
    assert dark.then == pytest.approx(0.5, abs=0.03)
    assert dark.now == pytest.approx(0.35, abs=0.03)
    assert dark.value > dark.threshold
    assert dark.p_value < 0.005


def test_words_and_missing_values_are_compared_as_well() -> None:
    random = np.random.default_rng(2)
    accepted, found = reference(random), rows(random, 250)
    for row in found[::4]:
        row["first_class"] = "never seen"
    assert differing(accepted.compare(window(found))) == {"first_class"}
    for row in found[::2]:
        row["score_mean"] = None
    assert "score_mean" in differing(accepted.compare(window(found)))


def test_a_few_strange_pictures_among_many_are_found_by_the_tail() -> None:
    random = np.random.default_rng(3)
    accepted, found = reference(random), rows(random, 250)
    for row in found[::12]:
        row["sharpness"] = 50.0
    compared = accepted.compare(window(found))
    assert differing(compared) == {"sharpness"}
    (strange,) = (each for each in compared.features if each.differs)
    assert strange.statistic == "rows above"
    assert strange.value == pytest.approx(0.08, abs=0.02)
    assert strange.value >= strange.threshold


def test_the_same_pictures_again_and_again_are_no_change() -> None:
    """5,000 rows of 30 pictures are worth 30, and differ from the reference as 30 do."""
    random = np.random.default_rng(4)
    accepted, few = reference(random), rows(random, 30)
    found = accepted.compare(window([few[i] for i in random.integers(0, 30, 5000)]))
    assert found.rows == 5000
    assert found.effective == pytest.approx(30, abs=1)
    assert differing(found) == set()
    naive = Window(columns_of([few[i % 30] for i in range(5000)], np.ones(5000), FEATURES), 5000, 5000.0)  # type: ignore[misc]
    assert differing(accepted.compare(naive)), "taken for 5,000 pictures they differ"


def test_rows_of_a_video_are_no_change() -> None:
    """Brightness wanders slowly around what is usual: 1,000 frames are worth a few pictures."""
    features, naive = FEATURES[:1], []
    for seed in range(4):
        random = np.random.default_rng(seed)
        accepted = Reference(features, {"brightness": random.normal(0.5, 0.1, 300).tolist()})
        level, frames = random.normal(), []
        for _ in range(1000):
            level = 0.99 * level + random.normal(0, np.sqrt(1 - 0.99**2))
            frames.append(0.5 + 0.1 * level)
        (bright,) = accepted.compare(Window({"brightness": Column.of("continuous", frames)}, 1000, 1000.0)).features
        assert bright.effective < 50
        assert not bright.differs
        random.shuffle(frames)
        shuffled = Window({"brightness": Column.of("continuous", frames)}, 1000, 1000.0)
        naive.append(bool(differing(accepted.compare(shuffled))))
    assert any(naive), "taken for independent they differ"


def test_what_changes_in_the_middle_is_left_to_the_next_window() -> None:
    random = np.random.default_rng(3)
    accepted, found = reference(random), rows(random, 125) + rows(random, 125, dark=0.15)
    assert "brightness" not in differing(accepted.compare(window(found)))


def test_too_few_rows_or_one_picture_alone_are_not_compared() -> None:
    random = np.random.default_rng(6)
    accepted = reference(random)
    assert accepted.compare(window(rows(random, 199))).features == ()
    assert len(accepted.compare(window(rows(random, 200))).features) == len(FEATURES)
    assert accepted.compare(window(rows(random, 1) * 500)).features == ()
    assert accepted.compare(Window({}, 0, 0.0)).features == ()


def test_a_shift_that_matters_to_nobody_is_left_alone() -> None:
    """All images of the reference have one size; one row of pixels more is sure, and is nothing."""
    features = (Feature("megapixels", "continuous"), FEATURES[0])
    others = np.random.default_rng(0).normal(size=300).tolist()
    accepted = Reference(features, {"megapixels": [0.1728] * 300, "brightness": others})
    columns = {"megapixels": Column.of("continuous", [0.17328] * 300)}
    assert differing(accepted.compare(Window(columns, 300, 300.0))) == set()
    columns = {"megapixels": Column.of("continuous", [0.3] * 300)}
    assert differing(accepted.compare(Window(columns, 300, 300.0))) == {"megapixels"}


def test_weights_count_as_many_answers() -> None:
    random = np.random.default_rng(7)
    accepted, found = reference(random), rows(random, 500)
    for row in found[::5]:
        row["brightness"] = 0.1
    light = np.where(np.arange(500) % 5 == 0, 1.0, 40.0)
    assert "brightness" in differing(accepted.compare(window(found)))
    assert "brightness" not in differing(accepted.compare(window(found, light)))


def test_the_bootstrap_agrees_with_the_known_law() -> None:
    """Of a continuous number, the two-sample Kolmogorov-Smirnov statistic's law is known."""
    for rows in (60, 304, 5000):
        null = NullDistributions().of("kolmogorov-smirnov", np.arange(1, 257) / 256, rows, 300, 20_000)
        effective, unit = rows * 300 / (rows + 300), scale("kolmogorov-smirnov", rows, 300)
        for level in (0.1, 0.01, 0.001):
            assert unit * threshold(null, level) == pytest.approx(kstwo.isf(level, round(effective)), rel=0.06)


def test_p_values_of_the_null_itself_are_uniform() -> None:
    null = NullDistributions().of("chi-square", np.array([0.5, 0.8, 1.0]), 250, 300, 2000)
    found = np.array([p_value(null, value) for value in null])
    assert found.min() <= 3 / 2001
    assert np.mean(found <= 0.05) == pytest.approx(0.05, abs=0.02)
    assert p_value(null, 1e9) == pytest.approx(1 / 2001), "never 0"


def test_holm_is_less_strict_with_each_feature_that_passed() -> None:
    adjusted, levels = holm([0.01, 0.04, 0.03, 0.005], 0.05)
    assert adjusted == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert levels == pytest.approx([0.05 / 3, 0.05, 0.05 / 2, 0.05 / 4])
    assert holm([], 0.05) == ([], [])


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=40))
def test_holm_keeps_the_order_and_never_lowers(values: list[float]) -> None:
    adjusted, _ = holm(values, 0.05)
    assert all(a >= v for a, v in zip(adjusted, values, strict=True))
    assert [a for _, a in sorted(zip(values, adjusted, strict=True))] == sorted(adjusted)


@given(arrays(np.float64, st.integers(1, 60), elements=st.floats(0.1, 100)))
def test_effective_rows_are_at_least_one_and_at_most_all(weights: np.ndarray) -> None:
    assert 1 - 1e-9 <= kish(weights) <= len(weights) + 1e-9
    assert independent_rows(weights, range(len(weights))) == pytest.approx(kish(weights))
    assert independent_rows(weights, ["same"] * len(weights)) == pytest.approx(1)


def test_autocorrelation_time() -> None:
    random = np.random.default_rng(8)
    independent = [autocorrelation_time(random.normal(size=(500, 1))) for _ in range(50)]
    assert np.mean(independent) < 1.1
    level, series = 0.0, []
    for _ in range(20_000):
        level = 0.9 * level + random.normal()
        series.append([level])
    assert autocorrelation_time(np.array(series)) == pytest.approx(19, rel=0.25), "(1 + 0.9) / (1 - 0.9)"
    assert autocorrelation_time(np.zeros((100, 1))) == 1
    assert autocorrelation_time(np.zeros((0, 1))) == 1


@settings(max_examples=50)
@given(st.lists(st.one_of(st.none(), st.integers(-3, 3), st.floats(-5, 5)), min_size=1, max_size=200))
def test_bins_hold_every_value_of_the_reference(values: list[float | None]) -> None:
    column = Column.of("continuous", values)
    bins = Bins.of(column)
    cumulative = bins.cumulative(column)
    assert cumulative[-1] == pytest.approx(1)
    assert np.all(np.diff(cumulative) >= -1e-12)
    assert float(distance("kolmogorov-smirnov", cumulative, cumulative, 10, 10)) == 0
    beyond = Column.of("continuous", [1e9])
    assert bins.cumulative(beyond)[-2] == 0, "what is larger than all has a bin of its own"


def test_what_is_of_another_kind_counts_as_missing() -> None:
    assert Column.of("continuous", ["text", None, True, 2]).values.tolist() == [MISSING, MISSING, 1.0, 2.0]
    assert Column.of("category", [None, 3]).values.tolist() == ["", "3"]
