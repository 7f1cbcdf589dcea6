"""Replaces the script by the program that it starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from commands.parser import ROOT


def exec_command(argv: Sequence[str | Path]) -> int:
    """Replace this process by another program, in Handful's folder: it gets the signals and the terminal.

    Returns:
        Its exit code, on Windows only: a process cannot be replaced there, so we wait for it.
    """
    os.chdir(ROOT)
    command = [str(argument) for argument in argv]
    if sys.platform != "win32":
        os.execvp(command[0], command)  # noqa: S606  # There is no shell to go through.
    # Ctrl-C reaches both processes: only the program may react, and we report how it ended.
    signal.signal(signal.SIGINT, lambda *_: None)
    return subprocess.run(command, check=False).returncode
