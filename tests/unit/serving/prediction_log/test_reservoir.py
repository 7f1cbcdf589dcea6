"""What is kept of many answers: a fair sample of every source, in bounded memory."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handful_serving.adapters.prediction_log.reservoir import Reservoir
from support.log_rows import chance


def offer(reservoir: Reservoir[Any], stratum: object, item: object) -> None:
    if reservoir.admit(stratum):
        reservoir.put(stratum, item)


@given(counts=st.lists(st.integers(0, 200), max_size=9), size=st.integers(1, 50), seed=st.integers(0, 99))
@settings(max_examples=60)
def test_a_reservoir_keeps_no_more_than_its_size_and_weighs_all_that_it_saw(
    counts: list[int], size: int, seed: int
) -> None:
    reservoir: Reservoir[tuple[int, int]] = Reservoir(size, chance(seed))
    for stratum, count in enumerate(counts):
        for number in range(count):
            offer(reservoir, stratum, (stratum, number))
    sampled = reservoir.take()
    assert len({item for item, _ in sampled}) == len(sampled) == min(size, sum(counts))
    weights: Counter[int] = Counter()
    for (stratum, _), weight in sampled:
        weights[stratum] += weight  # type: ignore[assignment]
    for stratum, total in weights.items():
        assert total == pytest.approx(counts[stratum])
    if len([count for count in counts if count]) <= size:
        assert set(weights) == {stratum for stratum, count in enumerate(counts) if count}
    assert reservoir.take() == []


def test_a_quiet_source_is_not_drowned_by_a_busy_one() -> None:
    reservoir: Reservoir[str] = Reservoir(10, chance(0))
    for number in range(5000):
        offer(reservoir, "busy", "busy")
        if number % 2500 == 0:
            offer(reservoir, "quiet", "quiet")
    kept = Counter(item for item, _ in reservoir.take())
    assert kept == {"quiet": 2, "busy": 8}


def test_every_item_is_as_likely_to_be_kept() -> None:
    kept: Counter[int] = Counter()
    same = chance(1)
    for _ in range(2000):
        reservoir: Reservoir[int] = Reservoir(5, same)
        for number in range(20):
            offer(reservoir, "", number)
        kept.update(item for item, _ in reservoir.take())
    assert sum(kept.values()) == 10_000
    assert all(400 < kept[number] < 600 for number in range(20)), kept  # 500 each, and a deviation of 19.


def test_sources_that_are_made_up_take_bounded_memory() -> None:
    reservoir: Reservoir[int] = Reservoir(30, chance(2))
    for number in range(50_000):
        offer(reservoir, f"source-{number}", number)
    assert len(reservoir._strata) == 65
    assert len(reservoir.take()) == 30


def test_an_item_that_comes_after_its_minute_stands_for_itself() -> None:
    reservoir: Reservoir[str] = Reservoir(2, chance(0))
    assert [reservoir.admit("a") for _ in range(2)] == [True, True]
    assert reservoir.take() == [], "neither is answered yet"
    reservoir.put("a", "late")
    assert reservoir.take() == [("late", 1)]


def test_a_busy_stream_is_hardly_looked_at() -> None:
    reservoir: Reservoir[int] = Reservoir(30, chance(0))
    looked = sum(reservoir.admit("") for _ in range(6000))
    assert looked < 300, "30 and 30 times the logarithm of 200"
