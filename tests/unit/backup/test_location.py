"""Files that backups go to, their names, and which of them may go."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from handful_backup.location import backup_name, expired_backups, open_output
from handful_backup.settings import BackupSettings
from handful_core.errors import ConfigError
from handful_core.settings import load

_DAY = 24 * 3600


def test_what_did_not_come_to_its_end_is_not_there(tmp_path: Path) -> None:
    target = tmp_path / "backups" / "mine.zip"
    with pytest.raises(RuntimeError, match="broken off"):
        _break_off(target)
    assert not list(target.parent.iterdir())
    with open_output(str(target), BackupSettings()) as stream:
        stream.write(b"all")
    assert [path.name for path in target.parent.iterdir()] == ["mine.zip"]
    assert target.read_bytes() == b"all"


def test_what_a_killed_export_left_is_removed_a_day_later(tmp_path: Path) -> None:
    names = [".handful-20261101T031500Z.zip.partial", ".handful-20261102T031500Z.zip.partial", ".photos.zip.partial"]
    for name, age in zip(names, (_DAY + 60, _DAY - 60, 9 * _DAY), strict=True):
        (tmp_path / name).write_bytes(b"half")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    with open_output(str(tmp_path / "new.zip"), BackupSettings()) as stream:
        stream.write(b"all")
    assert {path.name for path in tmp_path.iterdir()} == {*names[1:], "new.zip"}


def test_an_object_store_that_is_no_url_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDFUL_BACKUP_S3_ENDPOINT_URL", "minio:9000")
    with pytest.raises(
        ConfigError, match=r"HANDFUL_BACKUP_S3_ENDPOINT_URL is wrong \(it is no address such as http://"
    ):
        load(BackupSettings)


@pytest.mark.parametrize("wrong", [{"s3_endpoint_url": "http://a b"}, {"s3_addressing_style": "sideways"}])
def test_settings_that_boto_refuses_are_told_before_anything_is_written(wrong: dict[str, str]) -> None:
    settings = BackupSettings().model_copy(update=wrong)
    with pytest.raises(ConfigError, match="the object store's settings"), open_output("s3://vault/b.zip", settings):
        pytest.fail("written")


def _break_off(target: Path) -> None:
    with open_output(str(target), BackupSettings()) as stream:
        stream.write(b"half")
        raise RuntimeError("broken off")


def _name(day: int, base: int = 0) -> str:
    when = datetime(2026, 11, day, 3, 15, tzinfo=UTC)
    return backup_name(when, datetime(2026, 11, base, 3, 15, tzinfo=UTC) if base else None)


def test_names_tell_times() -> None:
    assert _name(22) == "handful-20261122T031500Z.zip"
    assert _name(23, 22) == "handful-20261123T031500Z-since-20261122T031500Z.zip"


def test_the_newest_are_kept() -> None:
    assert expired_backups([_name(day) for day in (5, 1, 4, 2, 3)], 2) == [_name(1), _name(2), _name(3)]
    assert expired_backups([_name(1)], 7) == []


def test_what_a_kept_one_adds_to_is_kept() -> None:
    names = [_name(1), _name(2), _name(3, 2), _name(4, 3)]
    assert expired_backups(names, 1) == [_name(1)]


@pytest.mark.parametrize(
    "name", ["photo.zip", "handful-old.zip", "xhandful-20261101T031500Z.zip", ".handful-20261101T031500Z.zip.partial"]
)
def test_other_files_are_nobodys_business(name: str) -> None:
    assert expired_backups([name, _name(2), _name(3)], 1) == [_name(2)]
