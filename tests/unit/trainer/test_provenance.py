from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from handful_trainer.pipeline import provenance


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ours, as it were, with one file in Latin-1 whose last line is empty."""
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "provenance.py"))
    (tmp_path / "noms.txt").write_bytes("été\n\n".encode("latin-1"))
    _git(tmp_path, "init", "-q")
    _git(tmp_path, "add", "noms.txt")
    _git(tmp_path, "-c", "user.name=n", "-c", "user.email=e@example.org", "commit", "-qm", "first")
    return tmp_path


def test_changes_in_any_encoding_are_kept_as_a_patch_that_applies(checkout: Path, tmp_path: Path) -> None:
    changed = "été\nâge\n\n".encode("latin-1")
    (checkout / "noms.txt").write_bytes(changed)
    folder = provenance.write_environment(tmp_path / "environment")
    _git(checkout, "checkout", "-q", "--", "noms.txt")
    _git(checkout, "apply", str(folder / "changes.diff"))
    assert (checkout / "noms.txt").read_bytes() == changed


def test_the_commit_says_whether_the_code_was_changed(checkout: Path) -> None:
    commit = provenance.git_commit()
    assert commit is not None
    assert len(commit) == 40
    (checkout / "noms.txt").write_bytes(b"")
    assert provenance.git_commit() == f"{commit}-dirty"


def _git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-C", folder, *words], check=True)
