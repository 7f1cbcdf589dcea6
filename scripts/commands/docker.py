"""The Docker engine that tests of the Compose stack run in."""

from __future__ import annotations

import shutil
import subprocess

from commands.words import ROOT
from installer.terminal import say

_OWN = ROOT.parent / "shared" / "docker" / "engine"
"""Starts an engine, and makes stand-ins for public images, on a machine that reaches no image registry."""
_PATIENCE = 1200
_QUESTION = ["docker", "compose", "ls"]


def ensure_engine() -> bool:
    """Whether the stack can be tested here. If not, it says why; nothing else depends on it."""
    if _OWN.is_file():
        for word in ("up", "images"):
            say(f"a Docker engine for the stack's tests: {_OWN} {word}")
            if reason := _fails([str(_OWN), word]):
                say(f"the stack is not tested: {_OWN} {word} {reason}")
                return False
        return True
    if shutil.which("docker") is None:
        say("the stack is not tested: there is no docker command")
        return False
    if reason := _fails(_QUESTION):
        say(f"the stack is not tested: no Docker engine with Compose answers (docker compose ls {reason})")
        return False
    return True


def _fails(command: list[str]) -> str:
    """How a command failed; empty if it went well."""
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        return f"took more than {_PATIENCE // 60} minutes"
    except OSError as error:
        return f"cannot be run: {error.strerror}"
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return f"ended with {done.returncode}: {said[-1] if said else 'it says nothing'}" if done.returncode else ""
