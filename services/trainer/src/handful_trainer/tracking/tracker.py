"""An MLflow run that outlives the loss of its server."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_when_event_set,
    wait_exponential,
)

from handful_core.errors import UnavailableError
from handful_trainer.tracking.journal import Entry, Journal
from handful_trainer.tracking.mlflow_calls import is_transient, mlflow_name, send

_log = logging.getLogger(__name__)
_MAX_VALUE = 6000
"""Characters of a parameter that MLflow keeps."""
_MAX_PARAMS = 100
_DRAIN_SECONDS = 180.0
"""How long the end of a training waits for a server that went away: a restart, a deployment."""


class Tracker:
    """Writes to a journal at once; a thread of its own sends the journal to MLflow, in order, for as long as it takes.

    Args:
        client: MLflow's client.
        run_id: the run that is written.
        journal: what was not sent yet, from this process or one before.
    """

    def __init__(self, client: MlflowClient, run_id: str, journal: Journal) -> None:
        self.client = client
        self.run_id = run_id
        self._journal = journal
        self._stop = threading.Event()
        self._more = threading.Event()
        self._thread = threading.Thread(target=self._send_all, name="mlflow-sender", daemon=True)
        self._thread.start()

    def params(self, values: Mapping[str, Any]) -> None:
        """Log parameters."""
        # Of names that become one, one is logged: MLflow refuses a whole call that has one twice.
        named = {mlflow_name(key): str(value)[:_MAX_VALUE] for key, value in values.items()}
        items = [[key, value] for key, value in named.items()]
        for start in range(0, len(items), _MAX_PARAMS):
            self._write({"kind": "params", "values": items[start : start + _MAX_PARAMS]})

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Log metrics of one step, with the time of now."""
        stamp = int(time.time() * 1000)
        # JSON has no NaN and no infinities; MLflow has.
        items = [
            [key, repr(float(value)) if not math.isfinite(value) else float(value)] for key, value in values.items()
        ]
        self._write({"kind": "metrics", "values": items, "step": step, "time": stamp})

    def tags(self, values: Mapping[str, str]) -> None:
        """Set tags."""
        self._write({"kind": "tags", "values": [[key, str(value)[:_MAX_VALUE]] for key, value in values.items()]})

    def artifact(self, path: Path, folder: str = "") -> None:
        """Log a file, or a folder with all in it. It must stay where it is until it was sent."""
        self._write({"kind": "artifact", "path": str(path), "folder": folder})

    def dataset(self, record: Mapping[str, str], context: str) -> None:
        """Log a dataset input: name, digest, source_type, source, schema and profile as MLflow has them."""
        self._write({"kind": "dataset", "record": dict(record), "context": context})

    def status(self, status: str) -> None:
        """Set the run's status: RUNNING, FINISHED, FAILED or KILLED."""
        self._write({"kind": "status", "status": status, "time": int(time.time() * 1000)})

    def drain(self, seconds: float = _DRAIN_SECONDS) -> None:
        """Wait until all was sent.

        Raises:
            UnavailableError: it was not sent in time; the journal keeps it.
        """
        deadline = time.monotonic() + seconds
        while not self._journal.empty:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise UnavailableError(
                    "MLflow does not take up what the training wrote",
                    "nothing is lost: go on with `handful train --resume` when it answers again",
                )
            time.sleep(0.05)

    def close(self, seconds: float = 5.0) -> bool:
        """Give the thread a little time to send what is left, then let go of it. The journal keeps the rest.

        Returns:
            True if all was sent.
        """
        deadline = time.monotonic() + seconds
        while not self._journal.empty and time.monotonic() < deadline and self._thread.is_alive():
            time.sleep(0.05)
        self._stop.set()
        self._more.set()
        self._thread.join(timeout=1)
        return self._journal.empty

    def _write(self, entry: Entry) -> None:
        self._journal.append(entry)
        self._more.set()

    def _send_all(self) -> None:
        while not self._stop.is_set():
            self._more.clear()
            for entry, position in list(self._journal.unsent(limit=50)):
                if entry and not self._delivered(entry):
                    return
                self._journal.mark(position)
            if self._journal.empty:
                self._more.wait()

    def _delivered(self, entry: Entry) -> bool:
        """Send an entry, however often it takes; False if the tracker was closed meanwhile."""
        tries = Retrying(
            retry=retry_if_exception(is_transient),
            wait=wait_exponential(multiplier=0.5, max=15),
            stop=stop_when_event_set(self._stop),
            sleep=sleep_using_event(self._stop),
            before_sleep=_warn,
            reraise=True,
        )
        try:
            tries(send, self.client, self.run_id, entry)
        except (MlflowException, OSError) as error:
            if is_transient(error):
                return False
            # MLflow will never take this entry: say so, and do not hold up the rest.
            _log.warning("MLflow refused %s of run %s: %s", entry["kind"], self.run_id, error)
        return True


def _warn(state: RetryCallState) -> None:
    if state.attempt_number == 1 and state.outcome is not None:
        _log.warning("MLflow does not answer: it is told later")
        _log.debug("MLflow's last answer: %s", state.outcome.exception())


def open_tracker(uri: str, run_id: str, journal: Path) -> Tracker:
    """Go on writing a run, beginning with what an earlier process could not send."""
    return Tracker(MlflowClient(uri), run_id, Journal(journal))
