"""A run that ends marked as what happened, whatever happens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from handful_core.console import say
from handful_core.interruption import INTERRUPTION
from handful_trainer.tracking.reaper import RunReaper
from handful_trainer.tracking.tracker import Tracker, open_tracker

KILLED: tuple[type[BaseException], ...] = (KeyboardInterrupt, SystemExit)
"""What ends a run as KILLED. Everything else that is raised is a failure."""


@contextmanager
def managed_run(
    uri: str,
    run_id: str,
    journal: Path,
    *,
    killed_by: tuple[type[BaseException], ...] = KILLED,
    drain: bool = False,
) -> Iterator[Tracker]:
    """Write a run that ends marked: FINISHED, FAILED with the reason as tag `failure`, or KILLED.

    An error that Ctrl-C or SIGTERM brought up is no failure: it is passed on as a KeyboardInterrupt.

    The mark goes through the journal like all else. Where MLflow does not take it up in time, or this process is
    killed outright, a small process of its own marks the run: see `reaper`.

    Args:
        uri: MLflow's address.
        run_id: the run.
        journal: what goes to MLflow, from this process or one before.
        killed_by: exceptions that end the run as KILLED.
        drain: wait at the end until MLflow has taken up everything.

    Raises:
        UnavailableError: it was not taken up in time (with `drain`).
    """
    tracker = open_tracker(uri, run_id, journal)
    tracker.status("RUNNING")
    reaper = RunReaper(uri, run_id)
    ending, marked = "KILLED", False
    try:
        with INTERRUPTION.passed_on():
            yield tracker
        ending = "FINISHED"
        marked = _mark(tracker, ending)
        if drain:
            tracker.drain()
    except killed_by:
        ending = "KILLED"
        marked = _mark(tracker, ending)
        raise
    except Exception as error:
        ending = "FAILED"
        marked = _mark(tracker, ending, {"failure": str(error)})
        raise
    finally:
        if tracker.close() and marked:
            reaper.done()
        else:  # It goes on trying after this process has gone.
            reaper.status(ending)
            say(f"the run is marked {ending} as soon as MLflow answers")


def _mark(tracker: Tracker, ending: str, tags: Mapping[str, str] | None = None) -> bool:
    """Write down how the run ended; False where even that cannot be written: the reaper tells MLflow then."""
    try:
        if tags:
            tracker.tags(tags)
        tracker.status(ending)
    except OSError as error:
        say(f"the end of the run cannot be written down ({error.strerror}); MLflow is told of it all the same")
        return False
    return True
