"""Where things lie in a checkout."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of the checkout at `root`, with one of its virtual environments."""

    root: Path
    environment: str = ".venv"

    @classmethod
    def of_this_checkout(cls) -> Layout:
        """The checkout that this file belongs to."""
        return cls(Path(__file__).resolve().parents[2])

    @property
    def venv(self) -> Path:
        """The virtual environment."""
        return self.root / self.environment

    @property
    def python(self) -> Path:
        """The virtual environment's Python."""
        return self.tool("python")

    @property
    def constraints(self) -> Path:
        """The locked versions."""
        return self.root / "constraints.txt"

    @property
    def hashes(self) -> Path:
        """The locked versions, each with the hashes of its files."""
        return self.root / "constraints.hashed.txt"

    @property
    def uv_lock(self) -> Path:
        """The locked version of uv, with hashes that pip checks."""
        return self.root / "scripts" / "installer" / "uv.txt"

    @property
    def dvc_lock(self) -> Path:
        """The locked versions of DVC and what it needs."""
        return self.root / "scripts" / "installer" / "dvc.txt"

    @property
    def evidently_lock(self) -> Path:
        """The locked versions of Evidently and what it needs."""
        return self.root / "scripts" / "installer" / "evidently.txt"

    @property
    def services(self) -> list[Path]:
        """The folders of the services that can be installed."""
        return sorted(project.parent for project in self.root.glob("services/*/pyproject.toml"))

    def tool(self, name: str) -> Path:
        """A program of the virtual environment."""
        return self.venv / ("Scripts" if os.name == "nt" else "bin") / (f"{name}.exe" if os.name == "nt" else name)
