"""How long pieces of work take, measured in turns: a busy moment of the machine then meets all of them alike."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Timings:
    """How long one piece of work took, each time."""

    ms: tuple[float, ...]
    """Milliseconds of the rounds that count, in order."""

    @property
    def median(self) -> float:
        """Milliseconds that half of the rounds stay below."""
        return self.percentile(50)

    def percentile(self, percent: float) -> float:
        """Milliseconds that this many percent of the rounds stay below, interpolated between two of them."""
        return float(np.percentile(self.ms, percent))


def measure_in_turns(
    works: Sequence[Callable[[], object]],
    *,
    warm_up: int,
    rounds: int,
    budget: float = math.inf,
    min_rounds: int = 1,
    after_round: Callable[[], object] = lambda: None,
) -> list[Timings]:
    """Call each piece of work once a round, one after the other.

    Args:
        works: what is timed.
        warm_up: rounds at the start that do not count: caches fill and threads begin in them.
        rounds: rounds that count.
        budget: seconds for all of it, warm-up included. When they are over, `min_rounds` are enough.
        min_rounds: rounds that count even if the budget is used up.
        after_round: called after each round, those of the warm-up too, for a progress bar.

    Returns:
        The timings of each piece of work, in the order of `works`.
    """
    ends = time.perf_counter() + budget
    taken: list[list[float]] = [[] for _ in works]
    for turn in range(warm_up + rounds):
        if turn >= warm_up + min_rounds and time.perf_counter() > ends:
            break
        for work, times in zip(works, taken, strict=True):
            began = time.perf_counter()
            work()
            times.append((time.perf_counter() - began) * 1e3)
        after_round()
    return [Timings(tuple(times[warm_up:])) for times in taken]
