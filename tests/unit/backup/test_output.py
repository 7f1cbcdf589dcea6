"""Files that backups go to."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from handful_backup.output import output
from handful_backup.settings import BackupSettings

_DAY = 24 * 3600


def test_what_did_not_come_to_its_end_is_not_there(tmp_path: Path) -> None:
    target = tmp_path / "backups" / "mine.zip"
    with pytest.raises(RuntimeError, match="broken off"):
        _break_off(target)
    assert not list(target.parent.iterdir())
    with output(str(target), BackupSettings()) as stream:
        stream.write(b"all")
    assert [path.name for path in target.parent.iterdir()] == ["mine.zip"]
    assert target.read_bytes() == b"all"


def test_what_a_killed_export_left_is_removed_a_day_later(tmp_path: Path) -> None:
    names = [".handful-20261101T031500Z.zip.partial", ".handful-20261102T031500Z.zip.partial", ".photos.zip.partial"]
    for name, age in zip(names, (_DAY + 60, _DAY - 60, 9 * _DAY), strict=True):
        (tmp_path / name).write_bytes(b"half")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    with output(str(tmp_path / "new.zip"), BackupSettings()) as stream:
        stream.write(b"all")
    assert {path.name for path in tmp_path.iterdir()} == {*names[1:], "new.zip"}


def _break_off(target: Path) -> None:
    with output(str(target), BackupSettings()) as stream:
        stream.write(b"half")
        raise RuntimeError("broken off")
