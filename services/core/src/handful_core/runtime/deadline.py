"""Ends runs of a graph that take too long: a loop in a graph may be as long as somebody wrote it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

RUN_SECONDS = 300.0
"""Longest that one run may take where nobody says otherwise. Chosen, not measured: no image takes so long."""
_TICK = 0.1
"""Seconds between two looks at the runs in flight."""


class RunExpiry:
    """Whether a run was ended for its deadline."""

    expired = False


class Watchdog:
    """One thread that watches all runs of a process. It sleeps while there are none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: dict[RunExpiry, tuple[float, Callable[[], object]]] = {}
        self._busy = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def watch(self, seconds: float, end: Callable[[], object]) -> Iterator[RunExpiry]:
        """Call `end`, from another thread, if the block takes longer than this many seconds."""
        run = RunExpiry()
        with self._lock:
            self._runs[run] = (time.monotonic() + seconds, end)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="handful-run-deadline", daemon=True)
                self._thread.start()
        if not self._busy.is_set():
            self._busy.set()
        try:
            yield run
        finally:
            with self._lock:
                self._runs.pop(run, None)

    def _watch(self) -> None:
        while True:
            self._busy.wait()
            while self._runs:
                time.sleep(_TICK)
                self._end_late_runs(time.monotonic())
            self._busy.clear()
            if self._runs:  # It began between the last look and `clear`.
                self._busy.set()

    def _end_late_runs(self, now: float) -> None:
        with self._lock:
            for run, (until, end) in self._runs.items():
                if until <= now and not run.expired:
                    run.expired = True
                    end()


WATCHDOG = Watchdog()
"""One for all graphs of the process."""
