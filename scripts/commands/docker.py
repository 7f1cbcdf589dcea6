"""The Docker engine that tests of the Compose stack run in, on a machine that reaches no image registry."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from commands.words import ROOT
from installer.terminal import say

_OWN = ROOT.parent / "shared" / "docker" / "engine"
"""Starts an engine, and makes stand-ins for public images."""
_START = '{ "$0" up && "$0" images; } >"$1/log" 2>&1; echo $? >"$1/ended"; mv "$1/ended" "$1/code"'


class Engine:
    """The engine that what lies beside this repository starts, in the background: it takes minutes.

    `folder` has what it says in `log`, and when it is done its exit code in `code`: the tests of the stack wait for it,
    the others run meanwhile. It is left running: what else is in it is not ours.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="handful-engine-"))
        self._process = subprocess.Popen(
            ["sh", "-c", _START, _OWN, self.folder],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=_environment(os.environ),
        )
        say(f"starting a Docker engine for the stack's tests, in the background: {_OWN} up, {_OWN} images")

    @classmethod
    def is_here(cls) -> bool:
        """Whether there is what starts one."""
        return _OWN.is_file()

    def give_up(self) -> None:
        """It is not needed any more."""
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    """What it gets: it looks for pyenv's Pythons in the home folder, and a bare environment (`env -i`) names none."""
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
