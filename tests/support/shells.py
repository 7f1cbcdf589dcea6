"""The three kinds of scripts, and what runs each here."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

COMMANDS = (
    "up", "down", "train", "serve", "export", "import", "test", "quickstart", "pipeline", "monitor", "deploy", "menu",
    "demo",
)  # fmt: skip
KINDS = ("sh", "ps1", "bat")

_SH = '#!/bin/sh\ncase "$1" in -c) exit {probe} ;; esac\nprintf "%s\\n" "$@" > "{log}"\nexit {code}\n'
_BAT = '@echo off\r\nif "%~1"=="-c" exit /b {probe}\r\n>"{log}" echo %*\r\nexit /b {code}\r\n'


@dataclass(frozen=True)
class Shell:
    """Runs the scripts of one kind with a Python that writes down its arguments.

    Attributes:
        kind: the scripts' extension.
        folder: for the Python and its log.
    """

    kind: str
    folder: Path

    def run(self, script: Path, *argv: str, code: int = 0, probe: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a script.

        Args:
            script: without its extension.
            argv: its arguments.
            code: what the Python ends with.
            probe: what it ends with when it is asked for its version.
        """
        self._write_python(code, probe)
        command = [*self._command(script.with_suffix(f".{self.kind}")), *argv]
        # Wine's console needs an input that is there.
        return subprocess.run(
            command,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            input="",
            cwd="/",
        )

    def received_argv(self) -> list[str]:
        """The arguments that the Python got, with this system's slashes; of the program only its file name."""
        text = self._log.read_text()
        argv = shlex.split(text.replace("\\", "/")) if self.kind == "bat" else text.splitlines()
        return [Path(argument).name if argument.endswith("run.py") else argument for argument in argv]

    @property
    def _log(self) -> Path:
        return self.folder / "argv"

    def _write_python(self, code: int, probe: int) -> None:
        bat = self.kind == "bat"
        text = (_BAT if bat else _SH).format(log=_windows(self._log) if bat else self._log, code=code, probe=probe)
        self._python.write_text(text, newline="")
        self._python.chmod(0o755)

    @property
    def _python(self) -> Path:
        return self.folder / ("my python.bat" if self.kind == "bat" else "my python")

    def _command(self, script: Path) -> list[str]:
        if self.kind == "ps1":
            return ["pwsh", "-NoProfile", "-NonInteractive", "-File", str(script)]
        if self.kind == "sh":
            return [str(script)]
        # Called from a file, as `cmd /c` has rules of its own for quotes.
        launcher = self.folder / "launch.bat"
        launcher.write_text(f'@"{_windows(script)}" %*\r\n', newline="")
        return [*([] if os.name == "nt" else ["wine"]), "cmd", "/c", _windows(launcher)]

    def _environment(self) -> dict[str, str]:
        python = _windows(self._python) if self.kind == "bat" else str(self._python)
        return os.environ | {"HANDFUL_PYTHON": python, "WINEDEBUG": "-all"}


def missing_shell_reason(kind: str) -> str | None:
    """Why scripts of this kind cannot run here; None if they can."""
    if kind == "sh":
        return "no bash runs these paths on Windows" if os.name == "nt" else None
    if kind == "ps1":
        return None if shutil.which("pwsh") else "there is no pwsh: the PowerShell scripts are parsed, not run"
    return None if os.name == "nt" or shutil.which("wine") else "there is no wine: the .bat files are read, not run"


def shell(kind: str, folder: Path) -> Shell:
    """What runs scripts of this kind, or a skip that says what is missing."""
    if reason := missing_shell_reason(kind):
        pytest.skip(reason)
    return Shell(kind, folder)


def _windows(path: Path) -> str:
    """A path as programs of Windows name it; in Wine the drive Z: is all of this system."""
    return str(path) if os.name == "nt" else "Z:" + str(path).replace("/", "\\")
