"""The Docker engine that tests of the Compose stack run in, on a machine that reaches no image registry."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from commands.parser import ROOT
from console import print_status

_LAUNCHER = ROOT.parent / "shared" / "docker" / "engine"
"""Starts an engine, and makes stand-ins for public images."""
# The exit code is written beside and renamed: whoever sees `code` can read all of it.
_START = '{ "$0" up && "$0" images; } >"$1/log" 2>&1; echo $? >"$1/ended"; mv "$1/ended" "$1/code"'


class TestDockerEngine:
    """An engine that the launcher beside this repository starts in the background: it takes minutes.

    `folder` has the launcher's output in `log`, and its exit code in `code` once it has ended. The tests of the stack
    wait for that, the others run meanwhile. The engine is left running: it may hold containers that are not ours.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="handful-engine-"))
        self._process = subprocess.Popen(
            ["sh", "-c", _START, _LAUNCHER, self.folder],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=_environment(os.environ),
        )
        print_status(
            f"starting a Docker engine for the stack's tests, in the background: {_LAUNCHER} up, {_LAUNCHER} images"
        )

    @classmethod
    def is_available(cls) -> bool:
        """Whether this machine has the launcher."""
        return _LAUNCHER.is_file()

    def cancel(self) -> None:
        """Stop the start: nothing will be tested in it."""
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    """The launcher's environment: it looks for pyenv's Pythons in the home folder, and `env -i` names none."""
    own = _own_home()
    home = given.get("HOME", own)
    found = next((root for folder in (home, own) if (root := Path(folder, ".pyenv")).is_dir()), None)
    return {"HOME": home, **({"PYENV_ROOT": str(found)} if found else {}), **given}


def _own_home() -> str:
    """The user's home folder by the system's list of users, whatever HOME says."""
    try:
        return str(Path(f"~{getpass.getuser()}").expanduser())
    except (KeyError, OSError, RuntimeError):  # In a container, one may be no user of the list.
        return "/"
