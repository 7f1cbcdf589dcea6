"""The program that a script ends in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from commands.words import ROOT


def become(words: Sequence[str | Path]) -> int:
    """Go on as another program, in Handful's folder: signals, terminal and exit code are its own.

    Returns:
        Its exit code, on Windows alone, where a process cannot become another: there it is waited for, and Ctrl-C,
        which reaches both, is left to it.
    """
    os.chdir(ROOT)
    command = [str(word) for word in words]
    if sys.platform != "win32":
        os.execvp(command[0], command)  # noqa: S606  # There is no shell to go through.
    signal.signal(signal.SIGINT, lambda *_: None)
    return subprocess.run(command, check=False).returncode
