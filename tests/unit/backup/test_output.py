"""Files that backups go to."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from handful_backup.output import output
from handful_backup.settings import BackupSettings
from handful_core.errors import ConfigError
from handful_core.settings import load

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


def test_an_object_store_that_is_no_url_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDFUL_BACKUP_S3_ENDPOINT_URL", "minio:9000")
    with pytest.raises(
        ConfigError, match=r"HANDFUL_BACKUP_S3_ENDPOINT_URL is wrong \(it is no address such as http://"
    ):
        load(BackupSettings)


@pytest.mark.parametrize("wrong", [{"s3_endpoint_url": "http://a b"}, {"s3_addressing_style": "sideways"}])
def test_settings_that_boto_refuses_are_told_before_anything_is_written(wrong: dict[str, str]) -> None:
    settings = BackupSettings().model_copy(update=wrong)
    with pytest.raises(ConfigError, match="the object store's settings"), output("s3://vault/b.zip", settings):
        pytest.fail("written")


def _break_off(target: Path) -> None:
    with output(str(target), BackupSettings()) as stream:
        stream.write(b"half")
        raise RuntimeError("broken off")
