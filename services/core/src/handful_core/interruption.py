"""Ctrl-C stays Ctrl-C, whatever becomes of it on its way up.

A KeyboardInterrupt may come up anywhere: while a library imports, in Python code that C++ calls, in a `finally` that
writes a file. Some of that code turns it into an error of its own, which would then count as a fault.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interruption:
    """Whether somebody has asked this process to end."""

    came = False

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note Ctrl-C in the block, where Python would only raise KeyboardInterrupt."""
        self.came = False
        # A shell starts background jobs with SIGINT ignored, and a program around this one may have its own handler.
        ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        ours = ours and threading.current_thread() is threading.main_thread()
        if ours:
            signal.signal(signal.SIGINT, self._note)
        try:
            yield
        finally:
            self.came = False
            if ours:
                signal.signal(signal.SIGINT, signal.default_int_handler)

    @contextmanager
    def passed_on(self) -> Iterator[None]:
        """Raise KeyboardInterrupt for an error that came up after an interruption of the block.

        Raises:
            KeyboardInterrupt: in place of the error.
        """
        self.came = False  # One that ended another block says nothing of this one.
        try:
            yield
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # Rust's panics are no Exception.
            if not self.came:
                raise
            raise KeyboardInterrupt(str(error)) from error

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.came = True
        signal.default_int_handler(number, frame)


INTERRUPTION = Interruption()
"""One for the process, as signals are."""
