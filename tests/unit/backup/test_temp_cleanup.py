"""Folders that a job needs meanwhile."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import pytest

from handful_backup.temp_cleanup import work_folder
from handful_core.cli.main import main

_DAY = 24 * 3600


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_folder_goes_with_its_job(temporary: Path) -> None:
    with work_folder() as folder:
        (folder / "rows.db").write_bytes(b"rows")
        assert [path.name[:14] for path in temporary.iterdir()] == [".handful-work-"]
    assert not list(temporary.iterdir())


def test_what_killed_jobs_left_is_removed_by_the_next_one_a_day_later(temporary: Path) -> None:
    ages = {".handful-work-killed": _DAY + 60, ".handful-work-new": _DAY - 60, "handful-photos": 9 * _DAY}
    for name, age in ages.items():
        _make(temporary / name, age, age)
    _make(temporary / ".handful-work-busy", _DAY + 60, 5)
    with pytest.raises(SystemExit):
        main(["verify", str(temporary / "none.zip")])
    assert {path.name for path in temporary.iterdir()} == {".handful-work-new", ".handful-work-busy", "handful-photos"}


def _make(folder: Path, age: float, age_of_file: float) -> None:
    folder.mkdir()
    (folder / "rows.db").write_bytes(b"rows")
    for path, seconds in ((folder / "rows.db", age_of_file), (folder, age)):
        os.utime(path, (time.time() - seconds,) * 2)
