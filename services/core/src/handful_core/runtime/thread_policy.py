"""How many threads a run of a graph gets: all of them, which spin while they wait for each other, or a single one.

The decision and its measurements: docs/adr/0011-adaptive-thread-spinning.md.
The command that measures: `python tests/benchmarks/serving.py`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

# The six constants of AdaptivePolicy. All figures are of November 2026, YOLO11n at 320 and 640 pixels, on two cores of
# a shared Xeon. Nobody has measured them on more than two cores yet.

FULL_SHARE = 0.9
"""A run got its processors for itself if it used this share of their time.

Measured: 0.96 to 1 for a run alone on the machine, 0.5 to 0.8 beside a program that kept one of two processors busy.
"""
SLOW_RUNS = 2
"""Runs in a row that did not get their processors before a single thread is tried.

Measured: one slow run now and then is normal on a quiet machine, two in a row are not.
"""
FIRST_BACKOFF, LONGEST_BACKOFF = 0.1, 2.0
"""Seconds of single-threaded runs after a trial that won: doubled after each further one, up to the second value.

Measured: with a whole second from the start, a busy moment made half of the images slow. With two seconds at most, a
training next to serving makes two images in two seconds slow. The longest is also the pause after a trial that lost.
"""
RECENT_RUNS = 4
"""Runs whose number in flight still counts. Chosen, not measured: clients that take turns send the next image at once,
so a gap of one run must not switch back to all threads."""
TRIM_AFTER = 10.0
"""Seconds after the last simultaneous runs until their memory is given back. Chosen, not measured: the next burst would
need it again, and taking it anew from the system costs a seventh of a run (640 pixels)."""


class Clock(NamedTuple):
    """A point in time, in seconds that never go back."""

    wall: float
    cpu: float
    """Processor time of this process, of all its threads."""


class RunTicket(NamedTuple):
    """What a policy decided for one run."""

    all_threads: bool
    """All threads, or a single one."""
    trim_memory: bool = False
    """Whether the run gives back memory that only simultaneous runs needed."""
    began: Clock = Clock(0.0, 0.0)


class ThreadPolicy(Protocol):
    """Decides for each run of one graph. Safe to use from several threads at once."""

    @property
    def spin(self) -> bool:
        """Whether threads spin while they wait for each other. Where they may, a single thread is an alternative."""
        ...

    def begin(self) -> RunTicket:
        """Decide for a run that begins now."""
        ...

    def end(self, ticket: RunTicket, *, failed: bool = False) -> None:
        """Learn that a run has ended."""
        ...


class FixedPolicy:
    """All threads for every run, and they sleep while they wait. It learns nothing and holds the weights once."""

    spin = False

    def begin(self) -> RunTicket:
        """All threads."""
        return RunTicket(all_threads=True)

    def end(self, ticket: RunTicket, *, failed: bool = False) -> None:
        """Nothing to learn."""


class InFlightRuns:
    """Counts the runs of all graphs of a process. Its users hold its lock while they call it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._now = 0
        self._recent: deque[int] = deque(maxlen=RECENT_RUNS)
        """How many were in flight when the last runs began, themselves included."""
        self._last_burst: float | None = None
        """When runs were last simultaneous, until their memory is given back."""

    def enter(self, wall: float) -> None:
        """A run begins."""
        self._now += 1
        self._recent.append(self._now)
        if self._now > 1:
            self._last_burst = wall

    def leave(self) -> None:
        """A run ends."""
        self._now -= 1

    def claim_trim(self, wall: float) -> bool:
        """Whether memory is due to be given back. True once after each burst."""
        if self._last_burst is None or wall < self._last_burst + TRIM_AFTER:
            return False
        self._last_burst = None
        return True

    @property
    def recent_peak(self) -> int:
        """The most runs in flight when one of the last few began."""
        return max(self._recent)

    @property
    def last_was_shared(self) -> bool:
        """Whether the run that began last was not the only one."""
        return self._recent[-1] > 1


_PROCESS_RUNS = InFlightRuns()
"""One for all graphs: the face detector's runs compete with the model's."""


class AdaptivePolicy:
    """All threads, which spin, while the processors are free; a single thread otherwise.

    It falls back to a single thread in two cases:

    - As many runs as processors are in flight, or were a moment ago. Each then gets one processor.
    - Another program takes a processor. The other threads then spin until it is given back. This shows in the
      processor time that a run got. After `SLOW_RUNS` such runs a single thread is tried. If it is faster, the policy
      stays single-threaded for `FIRST_BACKOFF` seconds, doubling up to `LONGEST_BACKOFF` (exponential backoff). The
      first run that gets all its processors resets this.

    Args:
        threads: how many a run may use: as many as there are processors.
        in_flight: the runs of all graphs that share them.
        clock: tells the time.
        trims: whether runs of this graph can give memory back.
    """

    spin = True

    def __init__(
        self,
        threads: int,
        in_flight: InFlightRuns = _PROCESS_RUNS,
        clock: Callable[[], Clock] | None = None,
        *,
        trims: bool = True,
    ) -> None:
        self._threads = threads
        self._in_flight = in_flight
        self._clock = clock or _clock
        self._trims = trims
        self._slow_runs: list[float] = []
        """Seconds of the last runs with all threads, if none of them got all its processors."""
        self._trial_due = False
        """Whether the next run that is alone tries a single thread."""
        self._single_until = self._no_trial_until = 0.0
        self._backoff = FIRST_BACKOFF

    def begin(self) -> RunTicket:
        """Decide for a run that begins now."""
        with self._in_flight.lock:
            began = self._clock()
            self._in_flight.enter(began.wall)
            trim = self._trims and self._in_flight.claim_trim(began.wall)
            return RunTicket(self._may_use_all(began.wall), trim, began)

    def _may_use_all(self, wall: float) -> bool:
        if self._in_flight.recent_peak >= self._threads or wall < self._single_until:
            return False
        return not self._trial_due or self._in_flight.last_was_shared

    def end(self, ticket: RunTicket, *, failed: bool = False) -> None:
        """Learn from how long a run took and how much processor time it got."""
        with self._in_flight.lock:
            self._in_flight.leave()
            # Processor time is counted for the whole process: of simultaneous runs nobody knows whose it was.
            if failed or self._in_flight.last_was_shared:
                return
            now = self._clock()
            seconds = now.wall - ticket.began.wall
            if ticket.all_threads:
                got_all = now.cpu - ticket.began.cpu >= FULL_SHARE * seconds * self._threads
                self._learn(seconds, got_all, now.wall)
            elif self._trial_due:
                self._judge_trial(seconds, now.wall)

    def _learn(self, seconds: float, got_all: bool, wall: float) -> None:
        if got_all:
            self._slow_runs, self._backoff = [], FIRST_BACKOFF
            return
        self._slow_runs = [*self._slow_runs[1 - SLOW_RUNS :], seconds]
        self._trial_due = len(self._slow_runs) == SLOW_RUNS and wall >= self._no_trial_until

    def _judge_trial(self, seconds: float, wall: float) -> None:
        if seconds < min(self._slow_runs):
            self._single_until = wall + self._backoff
            self._backoff = min(2 * self._backoff, LONGEST_BACKOFF)
        else:
            self._no_trial_until = wall + LONGEST_BACKOFF
        self._slow_runs, self._trial_due = [], False


def _clock() -> Clock:
    # On Windows process_time ticks about every 16 ms: now and then a short run seems slow, and a trial is wasted on it.
    return Clock(time.perf_counter(), time.process_time())
