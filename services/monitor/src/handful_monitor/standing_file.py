"""What is known, on this machine's disk: a monitor that starts while MLflow is away still says what stood."""

from __future__ import annotations

import json
import logging
from datetime import datetime
from pathlib import Path
from typing import Any

from handful_core.files import write_atomically
from handful_monitor.domain.verdict import State, Stream
from handful_monitor.standing import KnownStream, PastVerdict, RunReference, Standing, StandingVerdict

_SCHEMA = 1
_log = logging.getLogger(__name__)


class StandingFile:
    """One file. What is wrong with it is logged and keeps nobody from judging: MLflow has the verdicts.

    Args:
        path: the file; it need not be there.
        standing: what it keeps.
    """

    def __init__(self, path: Path, standing: Standing) -> None:
        self._path, self._standing = path, standing
        self._written: bytes | None = None

    def restore(self) -> None:
        """Take what stood; MLflow's own words replace it as soon as it answers."""
        try:
            content = json.loads(self._path.read_bytes())
            if content["schema"] != _SCHEMA:
                return
            found = [_from_json(entry) for entry in content["streams"]]
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            _log.warning("%s cannot be read (%s): what stood is read from MLflow", self._path, error)
            return
        self._standing.restore(found)

    def write(self) -> None:
        """Keep what stands, if that is something new."""
        streams = [_to_json(known) for known in self._standing.known()]
        content = json.dumps({"schema": _SCHEMA, "streams": streams}).encode()
        if content == self._written:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path, content)
            self._written = content
        except OSError as error:
            _log.warning("%s cannot be written: %s", self._path, error.strerror)


def _to_json(known: KnownStream) -> dict[str, Any]:
    newest = known.newest
    return {
        "model": newest.stream.model,
        "version": newest.stream.version,
        "source": newest.stream.source,
        "at": newest.at.isoformat(),
        "document": newest.document,
        "run": _run_to_json(newest.run),
        "report": _run_to_json(newest.report),
        "history": [[one.at.isoformat(), one.state.value, list(one.changed), one.rows] for one in known.history],
    }


def _from_json(entry: dict[str, Any]) -> KnownStream:
    run = _run_from_json(entry["run"])
    if run is None:
        raise ValueError("a verdict without a run")
    stream = Stream(entry["model"], entry["version"], entry["source"])
    at = datetime.fromisoformat(entry["at"])
    newest = StandingVerdict(stream, at, dict(entry["document"]), run, _run_from_json(entry["report"]))
    history = [
        PastVerdict(datetime.fromisoformat(at), State(state), tuple(changed), int(rows))
        for at, state, changed, rows in entry["history"]
    ]
    return KnownStream(newest, tuple(history))


def _run_to_json(run: RunReference | None) -> list[str] | None:
    return [run.experiment_id, run.run_id] if run else None


def _run_from_json(entry: list[str] | None) -> RunReference | None:
    return RunReference(*entry) if entry else None
