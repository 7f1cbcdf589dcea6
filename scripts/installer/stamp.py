"""What was installed last, so that the next run need not look."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from installer.layout import Layout

_NAME = "handful.json"


@dataclass(frozen=True, slots=True)
class Stamp:
    """The content of `.venv/handful.json`.

    Attributes:
        root: the checkout that the environment was made for; its scripts hold that path.
        parts: what is installed, each with the fingerprint of what it was installed from.
    """

    root: str = ""
    parts: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, layout: Layout) -> Stamp:
        """The environment's stamp; an empty one if it has none that can be read."""
        try:
            content = json.loads((layout.venv / _NAME).read_text(encoding="utf-8"))
            return cls(content["root"], content["parts"])
        except (OSError, ValueError, KeyError, TypeError):
            return cls()

    def moved(self, layout: Layout) -> bool:
        """Whether the checkout lies elsewhere than when its environment was made."""
        return bool(self.root) and self.root != str(layout.root)

    def write(self, layout: Layout, parts: Mapping[str, str]) -> None:
        """Note that `parts` are installed."""
        content = {"root": str(layout.root), "parts": {**self.parts, **parts}}
        (layout.venv / _NAME).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def fingerprint(layout: Layout) -> str:
    """A hash of all that decides what is installed: locked versions, projects, the Python, the installer itself."""
    # The installer too: a new version of it may install otherwise.
    installer = sorted((layout.root / "scripts" / "installer").glob("*.py"))
    projects = [layout.root / "pyproject.toml", *(service / "pyproject.toml" for service in layout.services)]
    digest = hashlib.sha256()
    for path in [layout.hashes, layout.constraints, layout.venv / "pyvenv.cfg", *projects, *installer]:
        digest.update(f"{path.relative_to(layout.root)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()
