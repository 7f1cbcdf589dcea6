"""Child processes that never outlive their parent, and the signals that end the parent.

The parent holds one end of a pipe, the child reads the other as its standard input. However the parent ends, also by
`kill -9`, the kernel closes its end, and the child then stops. This works on every system.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import IO, Literal

import psutil

from handful_core.interruption import INTERRUPTION
from handful_core.processes import NEW_PROCESS_GROUP

_ENDING_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class ChildProcess:
    """A command in a process group of its own: Ctrl-C at the terminal does not reach it.

    Args:
        kind: `handful` for one of Handful's commands, which gets SIGTERM alone and may clean up as long as it needs to.
            `shell` for a line of shell, all of whose processes get SIGTERM, and SIGKILL after 15 s.
        arguments: what follows `handful`, or the one line of shell.
        env: its environment.
        cwd: its working directory.
        log: a file for its output; if None, stdout is read by `output` and stderr goes to the terminal.
        stop_seconds: how long it may take to stop before all its processes are killed.
    """

    def __init__(
        self,
        kind: Literal["handful", "shell"],
        arguments: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        log: IO[bytes] | None = None,
        stop_seconds: float = 30,
    ) -> None:
        self._stop_seconds = stop_seconds
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, kind, *arguments],
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=log or subprocess.PIPE,
            stderr=log,
            **NEW_PROCESS_GROUP,
        )
        self._tree: list[psutil.Process] = []

    def output(self) -> bytes:
        """Its stdout, once it has ended by itself."""
        return self._process.stdout.read() if self._process.stdout else b""

    def wait(self, seconds: float | None = None) -> int | None:
        """Its exit code; None if it still runs after so many seconds."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def tree(self) -> list[psutil.Process]:
        """The process and its descendants that still run; also those seen earlier whose parent was killed since."""
        running = [process for process in self._tree if process.is_running()]
        with contextlib.suppress(psutil.NoSuchProcess):
            root = psutil.Process(self._process.pid)
            running += [process for process in (root, *root.children(recursive=True)) if process not in running]
        self._tree = running
        return running

    def ask_to_stop(self) -> None:
        """Let it begin to stop; `stop` waits for that."""
        self.tree()
        if self._process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()

    def stop(self) -> None:
        """Ask it to stop, then kill what still runs of its tree."""
        self.ask_to_stop()
        self.wait(self._stop_seconds)
        _terminate(self._tree, kill_after=3)
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()


def _terminate(processes: Sequence[psutil.Process], kill_after: float) -> None:
    _, alive = psutil.wait_procs(processes, timeout=0)
    for signal_it in (psutil.Process.terminate, psutil.Process.kill):
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                signal_it(process)
        _, alive = psutil.wait_procs(alive, timeout=kill_after)


def run_handful(arguments: Sequence[str], env: Mapping[str, str], cwd: Path) -> tuple[int | None, bytes]:
    """Run a `handful` command to its end; its progress goes to the terminal.

    Returns:
        Its exit code and its stdout.
    """
    process = ChildProcess("handful", arguments, env, cwd)
    try:
        output = process.output()
        return process.wait(), output
    finally:
        with signals_ignored():
            process.stop()


def _when_parent_ends(action: Callable[[], None]) -> threading.Thread:
    def watch() -> None:
        # Not sys.stdin: a forked child would inherit its lock, held by this thread.
        while os.read(0, 1024):
            pass
        action()

    thread = threading.Thread(target=watch, name="parent", daemon=True)
    thread.start()
    return thread


def _terminate_self() -> None:
    if sys.platform == "win32":  # `os.kill` would end the process at once, without its signal handlers.
        signal.raise_signal(signal.SIGTERM)
    else:
        os.kill(os.getpid(), signal.SIGTERM)


def _run_shell(line: str) -> int:
    """Run a line of shell until it ends or the parent does; its exit code, as a shell tells it."""
    stopping = threading.Event()

    def stop() -> None:
        stopping.set()
        _terminate(psutil.Process().children(recursive=True), kill_after=15)

    watcher = _when_parent_ends(stop)
    # The command must not read from the pipe. Its line comes from the Procfile, from nobody else.
    code = subprocess.Popen(line, shell=True, stdin=subprocess.DEVNULL).wait()  # noqa: S602
    if stopping.is_set():
        watcher.join()
    return code if code >= 0 else 128 - code


@contextlib.contextmanager
def signals_interrupt() -> Iterator[None]:
    """Every signal that ends a process raises KeyboardInterrupt; a SIGHUP that `nohup` ignores stays ignored."""
    # SIGINT in any case: a shell starts background jobs with SIGINT ignored.
    taken = [s for s in _ENDING_SIGNALS if s == signal.SIGINT or signal.getsignal(s) != signal.SIG_IGN]
    with _handled(taken, _interrupt):
        yield


@contextlib.contextmanager
def signals_ignored() -> Iterator[None]:
    """No signal interrupts the block: for cleaning up."""
    with _handled(_ENDING_SIGNALS, signal.SIG_IGN):
        yield


def _interrupt(number: int, _: FrameType | None) -> None:
    for other in _ENDING_SIGNALS:  # One is enough: an impatient second one must not interrupt the cleaning up.
        signal.signal(other, signal.SIG_IGN)
    INTERRUPTION.came = True
    raise KeyboardInterrupt(signal.Signals(number).name)


@contextlib.contextmanager
def _handled(numbers: list[signal.Signals], handler: signal._HANDLER) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


if __name__ == "__main__":
    if sys.argv[1] == "shell":
        sys.exit(_run_shell(sys.argv[2]))
    from handful_core.cli.main import main

    _when_parent_ends(_terminate_self)
    main(sys.argv[2:])
