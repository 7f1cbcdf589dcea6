"""Commands that have the terminal while we wait for them."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def run_attached(words: Sequence[str], folder: Path, *, on_stderr: bool = False) -> int:
    """Run a command in a folder, and wait until it has ended by itself.

    Ctrl-C reaches it from the terminal, and it is what knows how to end: a training marks its run, a container is
    removed. Were we not to wait for that, the container would run on unseen. A SIGTERM to us is handed on.

    Args:
        words: the command.
        folder: where it runs.
        on_stderr: send what it prints to stderr, since stdout is for results.

    Returns:
        Its exit code.
    """
    with subprocess.Popen(words, cwd=folder, stdout=sys.stderr if on_stderr else None) as process, _heeding(process):
        return process.wait()


@contextmanager
def _heeding(process: subprocess.Popen[bytes]) -> Iterator[None]:
    interrupt = signal.signal(signal.SIGINT, lambda *_: None)
    end = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, interrupt)
        signal.signal(signal.SIGTERM, end)
