"""What the backup container runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def _entry(repository: Path, *words: str) -> subprocess.CompletedProcess[str]:
    program = repository / "services" / "backup" / "entry.py"
    return subprocess.run([sys.executable, program, *words], capture_output=True, text=True, check=False)


def test_a_command_that_is_not_there_is_said_not_to_be(repository: Path) -> None:
    done = _entry(repository, "teleport", "--out", "x.zip")
    assert done.returncode == 2
    assert done.stderr == "error: this version of Handful has no `handful teleport` yet: nothing was done\n"


def test_no_starter_model_is_no_fault(repository: Path) -> None:
    done = _entry(repository, "starter")
    assert done.returncode == 0
    assert done.stderr == "there is no models/starter.zip: nothing to import\n"
