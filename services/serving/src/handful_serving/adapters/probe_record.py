"""Which packages passed their first run on this machine, and which did not: a file beside the cache."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from handful_core.files import write_atomically

_log = logging.getLogger(__name__)
_MAX_VERDICTS = 1000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a package's first run."""

    kind: str = ""
    """Why it was refused, in one word; empty if it passed."""
    message: str = ""
    hint: str = ""
    memory: dict[str, int] = field(default_factory=dict)
    """Bytes that it took, by backend and precision: those that gave the golden answer."""
    memory_limit: int | None = None
    """Bytes that it might have taken."""
    seconds_limit: float = 0.0
    until: float | None = None
    """When it is tried again, in seconds since 1970; never if None."""
    opening: int = 0
    """Times that a serving process began to open it since one was done with that."""

    @property
    def refused(self) -> bool:
        """It is not to be opened."""
        return bool(self.kind)


_VERDICT = TypeAdapter(Verdict)


class ProbeRecord:
    """Verdicts in a JSON file. Safe to use from several threads; of several processes the last one that writes wins.

    Args:
        path: the file; the first verdict makes it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def get(self, key: str) -> Verdict | None:
        """The verdict on a package; None if there is none that can be read."""
        try:
            return _VERDICT.validate_python(self._read().get(key))
        except ValidationError:  # Never tried, or written in another form.
            return None

    def put(self, key: str, verdict: Verdict) -> None:
        """Keep a verdict."""
        self._change(key, lambda _: verdict)

    def opening(self, key: str) -> int:
        """A process begins to open a package: how many began before, and were never done."""
        before = self.get(key) or Verdict()
        self._change(key, lambda known: replace(known, opening=known.opening + 1))
        return before.opening

    def opened(self, key: str) -> None:
        """It is done with that, and lives."""
        self._change(key, lambda known: replace(known, opening=0))

    def _change(self, key: str, change: Callable[[Verdict], Verdict]) -> None:
        """Write one verdict. If that cannot be, the package is tried again after the next start."""
        with self._lock:
            verdict = change(self.get(key) or Verdict())
            verdicts = self._read()
            verdicts.pop(key, None)  # A key that is set again moves to the end, so the oldest fall out first.
            verdicts[key] = asdict(verdict)
            kept = dict(list(verdicts.items())[-_MAX_VERDICTS:])
            try:
                write_atomically(self._path, json.dumps(kept, indent=2), durable=True)
            except OSError as error:
                _log.warning("what came of a package's first run cannot be noted in %s (%s)", self._path, error)

    def _read(self) -> dict[str, Any]:
        try:
            verdicts = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            _log.warning("the noted first runs in %s cannot be read (%s)", self._path, error)
            return {}
        return verdicts if isinstance(verdicts, dict) else {}
