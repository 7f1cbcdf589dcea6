"""Names of backups, and which of them may go."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from handful_backup.rotation import file_name, superfluous


def _name(day: int, base: int = 0) -> str:
    when = datetime(2026, 11, day, 3, 15, tzinfo=UTC)
    return file_name(when, datetime(2026, 11, base, 3, 15, tzinfo=UTC) if base else None)


def test_names_tell_times() -> None:
    assert _name(22) == "handful-20261122T031500Z.zip"
    assert _name(23, 22) == "handful-20261123T031500Z-since-20261122T031500Z.zip"


def test_the_newest_are_kept() -> None:
    assert superfluous([_name(day) for day in (5, 1, 4, 2, 3)], 2) == [_name(1), _name(2), _name(3)]
    assert superfluous([_name(1)], 7) == []


def test_what_a_kept_one_adds_to_is_kept() -> None:
    names = [_name(1), _name(2), _name(3, 2), _name(4, 3)]
    assert superfluous(names, 1) == [_name(1)]


@pytest.mark.parametrize(
    "name", ["photo.zip", "handful-old.zip", "xhandful-20261101T031500Z.zip", ".handful-20261101T031500Z.zip.partial"]
)
def test_other_files_are_nobodys_business(name: str) -> None:
    assert superfluous([name, _name(2), _name(3)], 1) == [_name(2)]
