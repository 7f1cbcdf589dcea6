"""docs/scripts.md names every script, and what it writes can be typed."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "scripts.md").read_text(encoding="utf-8")
EQUALS = re.findall(r"^\| `[\w]+\.sh[^`]*` \| `(scripts/[^`]+)` \|$", PAGE, re.MULTILINE)


def test_every_script_is_there(repository: Path) -> None:
    named = set(re.findall(r"scripts/(\w+)\.sh", PAGE))
    assert named == {file.stem for file in (repository / "scripts").glob("*.ps1")}


def test_every_equal_can_be_typed(repository: Path) -> None:
    assert len(EQUALS) == 33
    for line in set(EQUALS):
        script, *words = line.split()
        told = subprocess.run([repository / script, "--help"], capture_output=True, text=True, check=True).stdout
        assert [word for word in words if not re.search(rf"(^|[\s,[]){word}\b", told)] == [], line
