"""The tutorial's commands, as its pages have them, run in order on a clone: `scripts/test.sh tutorial`.

A block of a page runs in the terminal that its title names, else in the second one, which stays one shell for the page.
Ports are the only thing that is changed: the usual ones may be taken here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.mlflow_server import free_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(sys.platform == "win32" or not shutil.which("bash"), reason="the tutorial's commands are bash"),
]

_BLOCK = re.compile(r"^```bash(?: title=\"(?P<title>[^\"]+)\")?\n(?P<commands>.+?)^```$", re.MULTILINE | re.DOTALL)
_FIRST_TERMINAL = "first terminal"
_UP = "in another terminal"
_SERVER_SECONDS = 3000
_PAGE_SECONDS = 3000


@dataclass(frozen=True)
class Tutorial:
    """A page's commands: those before the servers start, the servers, and those beside them."""

    before: str
    servers: str
    beside: str

    @classmethod
    def read(cls, page: Path, ports: tuple[int, int]) -> Tutorial:
        """The page's blocks, with ports that are free here."""
        blocks = [(found["title"], found["commands"]) for found in _BLOCK.finditer(page.read_text(encoding="utf-8"))]
        starts = [index for index, (title, _) in enumerate(blocks) if title == _FIRST_TERMINAL]
        assert len(starts) == 1, "one block of the page starts the servers"
        api, mlflow = ports
        before, servers, beside = (
            "".join(commands for _, commands in part)
            for part in (blocks[: starts[0]], [blocks[starts[0]]], blocks[starts[0] + 1 :])
        )
        words = f"{servers.strip()} --port {api} --mlflow-port {mlflow}"
        return cls(before, words, beside.replace("127.0.0.1:8000", f"127.0.0.1:{api}"))


class Reader:
    """Somebody who does what the pages say, in a folder of their own."""

    def __init__(self, folder: Path, repository: Path) -> None:
        self.checkout = folder / "handful"
        self._folder = folder
        self._repository = repository
        self._environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("HANDFUL_", "MLFLOW_", "STARTER_MODEL", "PYTHONPATH", "VIRTUAL_ENV"))
        }

    def follow(self, name: str, then: str) -> str:
        """Run a page's commands.

        Args:
            name: the page.
            then: commands at its end, beside the servers.

        Returns:
            What the second terminal said.
        """
        page = Tutorial.read(self._repository / "docs" / "tutorial" / name, (free_port(), free_port()))
        started = time.monotonic()
        if page.before:
            self._run(page.before.replace("…", str(self._repository)), self._folder)
        with self._servers(page.servers):
            said = self._run(
                f"{page.beside}\necho\n{then}\n", self.checkout
            )  # An answer of curl's ends without a line end.
        print(f"{name} took {time.monotonic() - started:.0f} s")  # `pytest -s` shows it.
        return said

    def _run(self, commands: str, folder: Path) -> str:
        done = subprocess.run(
            ["bash", "-Eeuo", "pipefail", "-c", commands],
            cwd=folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_PAGE_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    @contextmanager
    def _servers(self, command: str) -> Iterator[None]:
        log = self._folder / "servers.log"
        with (
            log.open("wb") as output,
            subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self.checkout,
                env=self._environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            ) as process,
        ):
            try:
                _wait_until_up(process, log)
                yield
                os.killpg(process.pid, signal.SIGINT)  # Ctrl-C reaches all that run in the terminal.
                assert process.wait(60) == 0, log.read_text(encoding="utf-8")
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


def _wait_until_up(process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _SERVER_SECONDS
    while _UP not in " ".join(log.read_text(encoding="utf-8").split()):
        assert process.poll() is None, log.read_text(encoding="utf-8")
        assert time.monotonic() < until, log.read_text(encoding="utf-8")
        time.sleep(1)


@pytest.fixture(scope="module")
def reader(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return Reader(tmp_path_factory.mktemp("tutorial"), repository)


def _champions(said: str) -> dict[int, bool]:
    """Which versions are champion, by what `handful models NAME --json` printed last."""
    versions = json.loads(said[said.rindex("\n[\n") :])
    return {version["version"]: "champion" in version["aliases"] for version in versions}


def test_the_tutorial_works(reader: Reader) -> None:
    """In order, as its pages build upon each other."""
    said = reader.follow("first-hour-with-fingers.md", "handful models sample --json")
    assert "is whole" in said
    assert _champions(said) == {1: True, 2: False}

    said = reader.follow("your-own-photos.md", "handful models my-photos --json")
    assert _champions(said) == {1: True}
    assert any((reader.checkout / "answers").iterdir())

    said = reader.follow("leaves.md", "handful models my-leaves --json")
    assert _champions(said) == {1: True}
    assert any((reader.checkout / "report").glob("*.html"))
