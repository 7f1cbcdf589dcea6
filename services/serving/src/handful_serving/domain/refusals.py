"""Versions that could not be loaded, and until when they are left alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from handful_serving.domain.errors import RefusedModelError
from handful_serving.domain.keys import Key

REFUSED_SECONDS = 600.0
"""A bad package does not get better by itself; but somebody may repair it in place."""
FAILED_SECONDS = 30.0
"""A full disk or the like may pass."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a version is not served."""

    key: Key
    kind: str
    """One word, for metrics."""
    reason: str
    until: float
    """By the clock of `Refusals`."""

    def error(self) -> RefusedModelError:
        """What a request for it gets."""
        return RefusedModelError(
            f"{self.key} cannot be served ({self.reason})",
            "ask for another version, or register it again",
            self.kind,
        )


class Refusals:
    """The versions to be left alone for now."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._refusals: dict[Key, Refusal] = {}

    def __iter__(self) -> Iterator[Refusal]:
        return iter([refusal for key in list(self._refusals) if (refusal := self.get(key))])

    def get(self, key: Key) -> Refusal | None:
        """The refusal that still holds for a version."""
        refusal = self._refusals.get(key)
        return refusal if refusal and refusal.until > self._clock() else None

    def add(self, key: Key, kind: str, reason: str, seconds: float) -> Refusal:
        """Leave a version alone for some seconds."""
        self._refusals[key] = Refusal(key, kind, reason, self._clock() + seconds)
        return self._refusals[key]

    def forget(self, name: str) -> None:
        """Give every version of a model another chance."""
        self._refusals = {key: refusal for key, refusal in self._refusals.items() if key.name != name}
