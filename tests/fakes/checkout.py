"""A checkout with little in it, whose tools are scripts that write down how they were called."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from installer.layout import Layout

_RECORDS = '#!/bin/sh\nprintf "%s\\n" "$(basename "$0") $*" >> "{calls}"\n{body}\n'


@dataclass(frozen=True)
class FakeCheckout:
    """A checkout at `root`; `path` is a folder for programs that the test puts on the PATH."""

    root: Path
    path: Path

    @property
    def layout(self) -> Layout:
        return Layout(self.root)

    @property
    def calls(self) -> list[str]:
        """How the programs were called, in order."""
        log = self.root / "calls"
        return log.read_text().splitlines() if log.exists() else []

    def program(self, folder: Path, name: str, body: str = "exit 0") -> Path:
        """Write a program that is recorded and then does `body`."""
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / name
        file.write_text(_RECORDS.format(calls=self.root / "calls", body=body))
        file.chmod(0o755)
        return file

    def on_path(self, name: str, body: str = "exit 0") -> Path:
        """A program that the test puts on the PATH."""
        return self.program(self.path, name, body)

    def tool(self, name: str, body: str = "exit 0") -> Path:
        """A program of the virtual environment."""
        return self.program(self.layout.tool(name).parent, name, body)

    def environment(self) -> None:
        """A virtual environment that seems to work: its Python is the one that runs this, and it has a uv."""
        self.layout.venv.mkdir()
        (self.layout.venv / "pyvenv.cfg").write_text("version = 3.12.1\n")
        python = self.layout.python
        python.parent.mkdir()
        python.symlink_to(sys.executable)
        self.tool("uv")


def build_checkout(folder: Path) -> FakeCheckout:
    """A checkout with one service in `folder`."""
    if os.name == "nt":
        pytest.skip("it plays programs with shell scripts")
    root = folder / "handful"
    (root / "services" / "core").mkdir(parents=True)
    (root / "services" / "core" / "pyproject.toml").write_text('[project]\nname = "handful-core"\n')
    (root / "pyproject.toml").write_text("[dependency-groups]\ndev = []\n")
    (root / "constraints.txt").write_text("torch==2.15.0\nuv==0.13.9\n")
    (root / "constraints.hashed.txt").write_text(f"torch==2.15.0 --hash=sha256:{0:064}\n")
    (root / "scripts" / "installer").mkdir(parents=True)
    (root / "scripts" / "installer" / "uv.txt").write_text(f"uv==0.13.9 --hash=sha256:{0:064}\n")
    path = folder / "path"
    path.mkdir()
    return FakeCheckout(root, path)
