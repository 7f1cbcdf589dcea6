from __future__ import annotations

import time

import pytest

from handful_core.runtime.benchmark import Timings, measure_in_turns


def test_pieces_of_work_take_turns_and_the_warm_up_does_not_count() -> None:
    calls: list[str] = []
    first, second = measure_in_turns(
        [lambda: calls.append("a"), lambda: calls.append("b")],
        warm_up=2,
        rounds=3,
        after_round=lambda: calls.append("."),
    )
    assert "".join(calls) == "ab." * 5
    assert len(first.ms) == len(second.ms) == 3


def test_what_takes_longer_has_the_longer_times() -> None:
    quick, slow = measure_in_turns([lambda: None, lambda: time.sleep(0.01)], warm_up=1, rounds=3)
    assert 0 <= quick.median < 10 <= slow.median


def test_a_used_up_budget_leaves_the_fewest_rounds() -> None:
    (timings,) = measure_in_turns([lambda: time.sleep(0.001)], warm_up=1, rounds=50, budget=0, min_rounds=4)
    assert len(timings.ms) == 4


def test_timings_are_summed_up_by_percentiles() -> None:
    timings = Timings((1.0, 2.0, 3.0, 10.0))
    assert timings.median == pytest.approx(2.5)
    assert timings.percentile(25) == pytest.approx(1.75)
    assert timings.percentile(100) == pytest.approx(10)
