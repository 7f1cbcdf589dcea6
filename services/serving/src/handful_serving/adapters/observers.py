"""Several observers of the domain in one."""

from __future__ import annotations

from handful_serving.domain.ports import Observer
from handful_serving.domain.prediction import PredictionResult


class Observers:
    """Tells each of them, in order.

    Args:
        observers: of the domain.
    """

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def predicted(self, result: PredictionResult) -> None:
        """An image was answered."""
        for observer in self._observers:
            observer.predicted(result)

    def compared(self, name: str, outcome: str) -> None:
        """A challenger was asked beside the champion."""
        for observer in self._observers:
            observer.compared(name, outcome)

    def reloaded(self, name: str, outcome: str, reason: str) -> None:
        """A version was loaded, refused, or could not be loaded."""
        for observer in self._observers:
            observer.reloaded(name, outcome, reason)

    def registry_answered(self, *, reachable: bool) -> None:
        """The registry did or did not answer."""
        for observer in self._observers:
            observer.registry_answered(reachable=reachable)
