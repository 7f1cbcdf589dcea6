"""Handful's version: `python scripts/version.py` prints it, `python scripts/version.py 0.3.0` writes it everywhere.

It is `__version__` in handful_core. All other places that have to name it follow, and a test holds them to it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from console import print_error

ROOT = Path(__file__).parents[1]
SOURCE = "services/core/src/handful_core/__init__.py"
PLACES = {
    SOURCE: r'^__version__ = "(.+)"$',
    "services/*/pyproject.toml": r'^version = "(.+)"$',
    "docker-compose.yml": r"\$\{HANDFUL_VERSION:-([^}]+)\}",
    "compose.*.yml": r"\$\{HANDFUL_VERSION:-([^}]+)\}",
    ".env.example": r"^# HANDFUL_VERSION=(.+)$",
    "deploy/kubernetes/components/images/kustomization.yaml": r"name: handful/[a-z-]+,.*newTag: ([0-9.]+)",
    "docs/kubernetes.md": r"\bhandful/[a-z]+:([0-9.]+)",
}
"""Files, and what names the version in them."""
_VERSION = re.compile(r"\d+\.\d+\.\d+")


def found(root: Path = ROOT) -> Iterator[tuple[str, str]]:
    """Each place that names the version: its file, and the version there."""
    for path, pattern in _files(root):
        for match in pattern.finditer(path.read_text(encoding="utf-8")):
            yield path.relative_to(root).as_posix(), match[1]


def write(version: str, root: Path = ROOT) -> None:
    """Write the version into all of them."""
    for path, pattern in _files(root):
        text = path.read_text(encoding="utf-8")
        changed = pattern.sub(lambda match: match[0].replace(match[1], version), text)
        if changed != text:
            path.write_text(changed, encoding="utf-8", newline="\n")


def _files(root: Path) -> Iterator[tuple[Path, re.Pattern[str]]]:
    for name, pattern in PLACES.items():
        for path in sorted(root.glob(name)):
            yield path, re.compile(pattern, re.MULTILINE)


def main(arguments: list[str]) -> int:
    """Print or write; the exit code."""
    match arguments:
        case []:
            sys.stdout.write(dict(found())[SOURCE] + "\n")
        case [version] if _VERSION.fullmatch(version):
            write(version)
        case _:
            print_error("name one version, such as 0.3.0, or none to see today's")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
