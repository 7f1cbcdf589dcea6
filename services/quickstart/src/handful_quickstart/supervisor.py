"""Runs the processes of a Procfile under honcho: a log for each, and all end when one does or when the parent does."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from honcho.environ import parse_procfile
from honcho.manager import Manager

from handful_quickstart.process import exit_with_parent

_KILL_SECONDS = 15


class LogFiles:
    """A printer as honcho wants it, which writes every process's lines to a file of its own.

    Args:
        folder: where the files go; those of the last time are kept beside them.
    """

    width = 0

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, IO[str]] = {}

    def write(self, message: Any) -> None:
        """Write a line of a process, or honcho's own."""
        text = message.data.decode("utf-8", "replace") if isinstance(message.data, bytes) else message.data
        file = self._file(message.name)
        for line in text.splitlines():
            file.write(f"{message.time:%Y-%m-%d %H:%M:%S} {line}\n")
        file.flush()

    def _file(self, name: str) -> IO[str]:
        if name not in self._files:
            path = self._folder / f"{name}.log"
            if path.exists():
                path.replace(path.with_suffix(".log.1"))
            self._files[name] = path.open("w", encoding="utf-8")
        return self._files[name]


def supervise(procfile: Path, logs: Path, env: Mapping[str, str]) -> int:
    """Run until a process or the parent ends; the exit code of the process that ended first."""
    manager = Manager(LogFiles(logs))
    for name, command in parse_procfile(procfile.read_text(encoding="utf-8")).processes.items():
        manager.add_process(name, command, env=dict(env), cwd=str(procfile.parent))

    def kill() -> None:
        time.sleep(_KILL_SECONDS)
        manager.kill()

    exit_with_parent(kill)
    manager.loop()
    return int(manager.returncode or 0)


if __name__ == "__main__":
    import multiprocessing

    # Not fork: honcho's processes would be copies of one that runs the thread of `exit_with_parent`.
    multiprocessing.set_start_method("spawn")
    sys.exit(supervise(Path(sys.argv[1]), Path(sys.argv[2]), os.environ))
