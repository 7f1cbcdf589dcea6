"""Processes that end when the one that started them ends, however that ends: also by `kill -9`.

The starter holds one end of a pipe, the process reads the other as its standard input. The kernel closes the starter's
end for it, whatever happened, and then the process sends itself SIGTERM. This needs no particular system.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

from handful_core.processes import NEW_PROCESS_GROUP
from handful_trainer.quickstart.signals import undisturbed


class Guarded:
    """A module that runs as a guarded process, in a session of its own: Ctrl-C at the terminal does not reach it.

    Args:
        module: what `python -m` runs; it must call `end_with_starter`, as this module does for `handful` commands.
        words: its arguments.
        env: its environment.
        cwd: its working directory.
        log: a file for what it says; the terminal if None.
        patience: seconds that it may take to end.
    """

    def __init__(
        self,
        module: str,
        words: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        log: IO[bytes] | None = None,
        patience: float = 30,
    ) -> None:
        self._patience = patience
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *words],
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=log or subprocess.PIPE,
            stderr=log,
            **NEW_PROCESS_GROUP,
        )
        self._family: list[psutil.Process] = []

    def output(self) -> bytes:
        """What it printed, once it has ended by itself."""
        return self._process.stdout.read() if self._process.stdout else b""

    def wait(self, seconds: float | None = None) -> int | None:
        """Its exit code; None if it does not end within so many seconds."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def processes(self) -> list[psutil.Process]:
        """It and all that came of it, as far as they live; also those that it left behind when it was killed."""
        family = [process for process in self._family if process.is_running()]
        with contextlib.suppress(psutil.NoSuchProcess):
            root = psutil.Process(self._process.pid)
            family += [process for process in (root, *root.children(recursive=True)) if process not in family]
        self._family = family
        return family

    def end(self) -> None:
        """End it in peace, and what then still lives by force."""
        family = self.processes()
        if self._process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        self.wait(self._patience)
        end_all(family)
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()


def run_handful(words: Sequence[str], env: Mapping[str, str], cwd: Path) -> tuple[int | None, bytes]:
    """Run a `handful` command to its end, guarded; its progress and its words go to the terminal.

    Returns:
        Its exit code, and what it printed as its result.
    """
    process = Guarded(__name__, words, env, cwd)
    try:
        output = process.output()
        return process.wait(), output
    finally:
        with undisturbed():
            process.end()


def end_all(processes: Sequence[psutil.Process], patience: float = 3) -> None:
    """End what still lives of these, by force if it does not end in so many seconds."""
    _, alive = psutil.wait_procs(processes, timeout=0)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(alive, timeout=patience)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=patience)


def end_with_starter(afterwards: Callable[[], None] = lambda: None) -> None:
    """Let this process end when its starter does.

    Args:
        afterwards: is called after the SIGTERM, for what does not heed it.
    """

    def watch() -> None:
        # Not sys.stdin, whose lock a forked child would find taken.
        while os.read(0, 1024):
            pass
        if sys.platform == "win32":  # There `os.kill` would end it at once, and nothing could tidy up.
            signal.raise_signal(signal.SIGTERM)
        else:
            os.kill(os.getpid(), signal.SIGTERM)
        afterwards()

    threading.Thread(target=watch, name="starter", daemon=True).start()


if __name__ == "__main__":
    from handful_core.cli.main import main

    end_with_starter()
    main()
