"""A file that is written in one step."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from handful_core.files import copy_folder, move_folder, open_atomically, write_atomically
from support.small_disk import small_disk


@pytest.mark.parametrize("durable", [False, True])
def test_the_file_holds_what_was_written_and_nothing_lies_beside_it(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "state.json"
    write_atomically(path, "grün\n", durable=durable)
    write_atomically(path, b"\x00\xff", durable=durable)
    assert path.read_bytes() == b"\x00\xff"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_a_secret_is_never_readable_by_others(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    write_atomically(path, "secret", mode=0o600)
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.json"
    write_atomically(path, "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "new", durable=True)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_never_meets_a_part(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    contents = {letter * 100_000 for letter in "abcd"}
    write_atomically(path, "a" * 100_000)
    writers = [threading.Thread(target=lambda c=c: [write_atomically(path, c) for _ in range(20)]) for c in contents]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert path.read_text() in contents
    assert list(tmp_path.iterdir()) == [path]


def test_a_stream_becomes_a_file_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "backup.zip"
    write_atomically(path, "old")
    with open_atomically(path, durable=True) as stream:
        stream.write(b"one ")
        stream.flush()
        assert path.read_text() == "old"
        stream.write(b"two")
    assert path.read_bytes() == b"one two"
    assert list(tmp_path.iterdir()) == [path]


def test_a_stream_that_breaks_off_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "backup.zip"
    write_atomically(path, "old")
    with pytest.raises(KeyboardInterrupt):
        _break_off(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_under_a_fixed_name_is_overwritten(tmp_path: Path) -> None:
    path, part = tmp_path / "backup.zip", tmp_path / ".backup.zip.partial"
    part.write_bytes(b"a longer half than what comes now")
    with open_atomically(path, part=part) as stream:
        assert part.exists()
        stream.write(b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def _break_off(path: Path) -> None:
    with open_atomically(path) as stream:
        stream.write(b"half")
        raise KeyboardInterrupt


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
@pytest.mark.parametrize(("umask", "mode"), [(0o002, 0o664), (0o077, 0o600)])
def test_without_a_mode_the_umask_decides_as_for_any_file(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_atomically(tmp_path / "state.json", "{}")
    finally:
        os.umask(before)
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == mode


def _folder(path: Path) -> Path:
    (path / "inner").mkdir(parents=True)
    (path / "inner" / "large").write_bytes(bytes(3_000_000))
    (path / "small").write_text("x")
    return path


def test_a_folder_that_fits_is_copied_and_moved_whole(tmp_path: Path) -> None:
    source = _folder(tmp_path / "source")
    copy_folder(source, tmp_path / "new" / "copy")
    assert (tmp_path / "new" / "copy" / "inner" / "large").stat().st_size == 3_000_000
    assert (tmp_path / "new" / "copy").stat().st_mode == source.stat().st_mode
    move_folder(source, tmp_path / "new" / "moved")
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"copy", "moved"}
    assert not source.exists()


def test_a_folder_that_does_not_fit_leaves_nothing_and_stays(tmp_path: Path) -> None:
    source = _folder(tmp_path / "source")
    with small_disk(tmp_path / "disk", megabytes=2) as disk:
        for bring in (copy_folder, move_folder):
            with pytest.raises(OSError, match="No space left"):
                bring(source, disk / "there")
            assert list(disk.iterdir()) == []
        assert (source / "inner" / "large").stat().st_size == 3_000_000


def test_a_folder_moves_to_another_disk(tmp_path: Path) -> None:
    source = _folder(tmp_path / "source")
    with small_disk(tmp_path / "disk", megabytes=10) as disk:
        move_folder(source, disk / "there")
        assert (disk / "there" / "inner" / "large").stat().st_size == 3_000_000
        assert not source.exists()
