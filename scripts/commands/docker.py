"""The Docker engine that tests of the Compose stack run in."""

from __future__ import annotations

import subprocess
import tempfile

from commands.words import ROOT
from installer.terminal import say

_OWN = ROOT.parent / "shared" / "docker" / "engine"
"""Starts an engine, and makes stand-ins for public images, on a machine that reaches no image registry."""
_START = ["sh", "-c", '"$0" up && "$0" images', str(_OWN)]
_ASK = ["docker", "compose", "ls"]
_PATIENCE = 1200


class Engine:
    """The engine that answers, or one that is started by what lies beside this repository.

    Starting it takes minutes, and goes on in the background. It is left running: what else is in it is not ours.
    """

    def __init__(self) -> None:
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115  # Ends with us.
        self._asked = _START if _OWN.is_file() else _ASK
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._process = subprocess.Popen(
                self._asked, stdin=subprocess.DEVNULL, stdout=self._said, stderr=subprocess.STDOUT
            )
        except OSError as error:
            self._said.write(f"{self._asked[0]} cannot be run: {error.strerror}")
        if self._asked is _START:
            say(f"starting a Docker engine for the stack's tests, in the background: {_OWN} up, {_OWN} images")

    def is_ready(self) -> bool:
        """Wait for it. If it cannot be had that is said, and fails nothing: the tests of the stack are skipped."""
        try:
            ready = self._process is not None and self._process.wait(_PATIENCE) == 0
        except subprocess.TimeoutExpired:
            self.give_up()
            ready = False
        if not ready:
            self._said.seek(0)
            lines = self._said.read().split("\n")
            reason = next((line for line in reversed(lines) if line.strip()), "it says nothing")
            say(f"the Compose stack is not tested, as there is no Docker engine: {reason}")
        return ready

    def give_up(self) -> None:
        """It is not needed any more."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait()
