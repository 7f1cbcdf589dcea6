"""How many processors a run of a graph gets: all of them, or one."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

_RECENT = 4
_OURS = 0.9
"""The share of all processors' time that a run gets which has them for itself: measured, 0.96 to 1. Beside a program
that keeps one of two busy it gets 0.5 to 0.8."""
_IN_A_ROW = 2
_SHORTEST, _LONGEST = 0.1, 2.0
"""Seconds that one processor is kept to, first and at last: twice as long each time, as long as others are busy."""
_TIDY_SECONDS = 10.0
"""As long after a rush the next may come, and would need the memory again."""


class Clock(NamedTuple):
    """Seconds that never go back."""

    wall: float
    used: float
    """What this process had of all processors."""


class RunTicket(NamedTuple):
    """One that has begun."""

    wide: bool
    """Whether it gets all processors."""
    tidy: bool
    """Whether it is to give back memory that only runs at the same time need."""
    began: Clock


class InFlightRuns:
    """How many runs there are and were, of all graphs of a process. Whoever uses it holds its lock."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now = 0
        self._recent: deque[int] = deque(maxlen=_RECENT)
        """How many ran when the last runs began, themselves included."""
        self._rush: float | None = None
        """When runs were last together, if what they needed was not given back since."""

    def enter(self, wall: float) -> None:
        """One more."""
        self.now += 1
        self._recent.append(self.now)
        if self.now > 1:
            self._rush = wall

    def tidy(self, wall: float) -> bool:
        """Whether a rush is over: told once."""
        if self._rush is None or wall < self._rush + _TIDY_SECONDS:
            return False
        self._rush = None
        return True

    def leave(self) -> None:
        """One less."""
        self.now -= 1

    @property
    def most(self) -> int:
        """Of what was at once of late."""
        return max(self._recent)

    @property
    def had_company(self) -> bool:
        """Whether the run that began last was not alone."""
        return self._recent[-1] > 1


_EVERYBODY = InFlightRuns()


class AdaptivePolicy:
    """Decides it for a graph, run by run, by how many there are and were, and by what they got.

    A run on all processors is answered soonest, for its threads spin while they wait for each other: a fifth sooner
    than if they slept, and for hardly more work. Beside as many other runs as there are processors they would be in
    each other's way. And if another program takes one of the processors, all others spin until it is given back: then
    one processor may be faster, which is tried, and if it is, kept to for a moment, the longer the longer it lasts.

    Args:
        processors: how many there are.
        crowd: the runs of all graphs that share them.
        clocks: tells the time.
    """

    def __init__(
        self, processors: int, crowd: InFlightRuns = _EVERYBODY, clocks: Callable[[], Clock] | None = None
    ) -> None:
        self._processors = processors
        self._crowd = crowd
        self._clocks = clocks or _clocks
        self._hindered: list[float] = []
        """Seconds of the last runs on all processors that did not get them."""
        self._trying = False
        self._narrow_until = self._wide_until = 0.0
        self._pause = _SHORTEST

    def begin(self) -> RunTicket:
        """A run begins."""
        with self._crowd.lock:
            began = self._clocks()
            self._crowd.enter(began.wall)
            tries = self._trying and not self._crowd.had_company
            wide = self._crowd.most < self._processors and not tries and began.wall >= self._narrow_until
            return RunTicket(wide, self._crowd.tidy(began.wall), began)

    def end(self, run: RunTicket, *, failed: bool = False) -> None:
        """A run has ended."""
        with self._crowd.lock:
            self._crowd.leave()
            if failed or self._crowd.had_company:
                return
            now = self._clocks()
            seconds = now.wall - run.began.wall
            if run.wide:
                had_all = now.used - run.began.used >= _OURS * seconds * self._processors
                self._learn(seconds, had_all, now.wall)
            elif self._trying:
                self._decide(seconds, now.wall)

    def _learn(self, seconds: float, had_all: bool, now: float) -> None:
        if had_all:
            self._hindered, self._pause = [], _SHORTEST
            return
        self._hindered = [*self._hindered[1 - _IN_A_ROW :], seconds]
        self._trying = len(self._hindered) == _IN_A_ROW and now >= self._wide_until

    def _decide(self, seconds: float, now: float) -> None:
        if seconds < min(self._hindered):
            self._narrow_until = now + self._pause
            self._pause = min(2 * self._pause, _LONGEST)
        else:
            self._wide_until = now + _LONGEST
        self._hindered, self._trying = [], False


def _clocks() -> Clock:
    return Clock(time.perf_counter(), time.process_time())
