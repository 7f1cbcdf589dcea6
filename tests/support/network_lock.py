"""Who may change the machine's networks, and who wants them to stay as they are.

Docker makes and removes networks, and Chromium then gives up whatever it loads (ERR_NETWORK_CHANGED). Where several
workers run the tests, those of the stack and those in a browser therefore wait for each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest

try:
    import fcntl
except ImportError:  # Windows, where the stack is not tested.
    fcntl = None  # type: ignore[assignment]

_LOCK = "network.lock"
Hold = Callable[[], AbstractContextManager[None]]


def exclusive(config: pytest.Config, folder: Path) -> Hold:
    """For who changes them: nobody else of this run uses or changes them within the block that this begins.

    Args:
        config: tells whether there are several workers.
        folder: the worker's own for temporary files.
    """
    return partial(_locked, config, folder, exclusively=True)


def shared(config: pytest.Config, folder: Path) -> Hold:
    """For who wants them to stay: nobody of this run changes them within the block that this begins."""
    return partial(_locked, config, folder, exclusively=False)


@contextmanager
def _locked(config: pytest.Config, folder: Path, *, exclusively: bool) -> Iterator[None]:
    if not hasattr(config, "workerinput") or fcntl is None:  # One test runs at a time, or there is no stack.
        yield
        return
    with (folder.parent / _LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX if exclusively else fcntl.LOCK_SH)
        yield
