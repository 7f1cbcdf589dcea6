"""Commands that have the terminal: waited for, whatever signals come."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from compose.docker import run_attached

_PARENT = """
import sys
from pathlib import Path
from compose.docker import run_attached
sys.exit(run_attached([sys.executable, "-c", sys.argv[1]], Path.cwd()))
"""
_TIDIES_UP = """
import os, signal, sys, time
def end(*_):  # It may interrupt a print, which cannot be begun twice.
    time.sleep(1)
    os.write(1, b"tidied up\\n")
    sys.exit(7)
signal.signal(signal.SIGINT, end)
signal.signal(signal.SIGTERM, end)
os.write(1, b"ready\\n")
while True:
    time.sleep(0.1)
"""


def test_the_exit_code_and_the_folder_are_the_command_s(tmp_path: Path) -> None:
    code = "import sys, pathlib; sys.exit(len(list(pathlib.Path().iterdir())))"
    (tmp_path / "a").touch()
    assert run_attached([sys.executable, "-c", code], tmp_path) == 1


def test_its_words_can_go_to_stderr(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run_attached([sys.executable, "-c", "print('building')"], tmp_path, on_stderr=True)
    said = capfd.readouterr()
    assert (said.out, said.err.strip()) == ("", "building")


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("to_the_group", [True, False], ids=["Ctrl-C at the terminal", "SIGTERM to the script"])
def test_a_command_that_tidies_up_is_waited_for(repository: Path, to_the_group: bool) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT, _TIDIES_UP],
        env=os.environ | {"PYTHONPATH": str(repository / "scripts")},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as script:
        assert script.stdout is not None
        assert script.stdout.readline() == "ready\n"
        if to_the_group:
            os.killpg(script.pid, signal.SIGINT)
        else:
            script.terminate()
        assert script.stdout.read() == "tidied up\n"
        assert script.wait() == 7
