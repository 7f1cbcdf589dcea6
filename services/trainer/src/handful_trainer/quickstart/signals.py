"""Ctrl-C, `kill` and a closed terminal end a quickstart in the same orderly way."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def _interrupt(number: int, _: FrameType | None) -> None:
    for other in _ENDING:  # Once is enough: what tidies up now is not to be broken into.
        signal.signal(other, signal.SIG_IGN)
    raise KeyboardInterrupt(signal.Signals(number).name)


@contextmanager
def interruptible() -> Iterator[None]:
    """Every signal that ends raises KeyboardInterrupt; a SIGHUP that `nohup` had ignored stays so.

    SIGINT is taken over too: a shell that starts a job in the background lets it ignore that.
    """
    taken = [s for s in _ENDING if s == signal.SIGINT or signal.getsignal(s) != signal.SIG_IGN]
    with _handled(taken, _interrupt):
        yield


@contextmanager
def undisturbed() -> Iterator[None]:
    """No signal breaks into what tidies up."""
    with _handled(_ENDING, signal.SIG_IGN):
        yield


@contextmanager
def _handled(numbers: list[signal.Signals], handler: signal._HANDLER) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
