"""Nothing that Windows lacks is called there: the type checker knows what each system has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def _faults(repository: Path, cache: Path, *words: str) -> list[str]:
    command = [sys.executable, "-m", "mypy", "--platform", "win32", "--cache-dir", str(cache), *words]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert "Found" in done.stdout or "Success" in done.stdout, done.stderr
    return [line for line in done.stdout.splitlines() if ": error: " in line]


def test_the_scripts(repository: Path, tmp_path: Path) -> None:
    assert _faults(repository, tmp_path, "-p", "installer", "-p", "compose", "-p", "commands") == []


@pytest.mark.slow
def test_all_that_runs_embedded(repository: Path, tmp_path: Path) -> None:
    packages = ["core", "trainer", "serving", "backup"]
    assert _faults(repository, tmp_path, *(word for name in packages for word in ("-p", f"handful_{name}"))) == []


def test_a_fault_is_seen(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "fault.py").write_text("import os\n\nos.getuid()\n")
    assert "getuid" in _faults(repository, tmp_path / "cache", str(tmp_path / "fault.py"))[0]
