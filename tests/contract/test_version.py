"""The version is handful_core's, and every other place that names it follows: scripts/version.py."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import version
from handful_core import __version__


def test_every_place_names_the_same_version(repository: Path) -> None:
    places = list(version.found(repository))
    assert {path for path, _ in places} >= {version.SOURCE, "docker-compose.yml", "compose.gpu.yml", ".env.example"}
    assert len([path for path, _ in places if path.endswith("pyproject.toml")]) == 6
    assert [(path, found) for path, found in places if found != __version__] == []


def test_nothing_else_names_it(repository: Path) -> None:
    """Where a file of Compose, the manifests or the services says it otherwise, a release would forget it."""
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=repository, capture_output=True, text=True, check=True
    ).stdout
    known = {path for path, _ in version.found(repository)}
    other = re.compile(rf"handful[/\w:=\"' -]*\b{re.escape(__version__)}\b")
    forgotten = []
    for name in tracked.split("\0"):
        path = repository / name
        wanted = name.startswith(("services/", "deploy/", "docs/", "scripts/")) or "/" not in name
        if not wanted or name in known or path.suffix not in {".py", ".yml", ".yaml", ".toml", ".md", ".sh", ".ps1"}:
            continue
        if other.search(path.read_text(encoding="utf-8")):
            forgotten.append(name)
    assert forgotten == []


def test_the_changelog_has_a_section_for_it(repository: Path) -> None:
    newest = re.search(
        r"^## \[(\d+\.\d+\.\d+)\]", (repository / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert newest
    assert newest[1] == __version__


@pytest.fixture
def copy(repository: Path, tmp_path: Path) -> Path:
    """The files that name it."""
    for path in {path for path, _ in version.found(repository)}:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(repository / path, tmp_path / path)
    return tmp_path


def test_one_command_writes_it_everywhere(copy: Path) -> None:
    before = list(version.found(copy))
    version.write("7.8.9", copy)
    assert list(version.found(copy)) == [(path, "7.8.9") for path, _ in before]
    images = (copy / "deploy/kubernetes/components/images/kustomization.yaml").read_text(encoding="utf-8")
    assert "newTag: 7.8.9-gpu}" in images
    assert "newTag: 17-alpine}" in images
    version.write(__version__, copy)
    assert list(version.found(copy)) == before


@pytest.mark.parametrize("words", [["0.3"], ["v0.3.0"], ["0.3.0", "0.4.0"], ["0.3.0\n"]])
def test_what_is_no_version_changes_nothing(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert version.main(words) == 2
    assert "such as 0.3.0" in capsys.readouterr().err


def test_it_prints_todays(repository: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-B", str(repository / "scripts" / "version.py")], capture_output=True, text=True, check=True
    )
    assert told.stdout == f"{__version__}\n"
