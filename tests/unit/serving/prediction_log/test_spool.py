"""Rows on this machine's disk: whole, bounded, and found again whoever was killed."""

from __future__ import annotations

import errno
import gzip
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from handful_core.errors import ResourceError
from handful_core.profile import read_rows
from handful_serving.adapters.prediction_log import spool as spool_module
from handful_serving.adapters.prediction_log.spool import Spool
from support.log_rows import MEGABYTE, a_row, ids


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MEGABYTE, "one")
    spool.append("fingers", [a_row(1), a_row(2)])
    spool.append("fingers", [a_row(3)])
    spool.append("leaves", [a_row(4, model="leaves")])
    assert spool.closed() == []
    spool.close_segments()
    fingers, leaves = sorted(spool.closed(), key=lambda segment: segment.model)
    assert ids([fingers.path]) == [1, 2, 3]
    assert ids([leaves.path]) == [4]
    assert (fingers.model, fingers.replica, leaves.model) == ("fingers", "one", "leaves")
    assert fingers.path.parent == tmp_path / "fingers" / "log"
    assert list(tmp_path.glob("*/log/*.open")) == []
    spool.close()


@pytest.mark.parametrize("model", ["..", ".", "a/b", "50%", ".hidden", "größe", "with space", "CON:", "end."])
def test_models_of_all_names_have_a_folder_of_their_own(tmp_path: Path, model: str) -> None:
    root = tmp_path / "monitoring"
    spool = Spool(root, MEGABYTE, "one")
    spool.append(model, [a_row(1, model=model)])
    spool.close_segments()
    (segment,) = spool.closed()
    assert segment.model == model
    assert segment.path.parent.parent.parent == root
    assert {path.name for path in tmp_path.iterdir()} == {"monitoring"}
    spool.close()


def test_each_of_several_servers_on_one_folder_has_a_name_and_segments_of_its_own(tmp_path: Path) -> None:
    spools = [Spool(tmp_path, MEGABYTE, "host") for _ in range(10)]
    assert [spool.replica for spool in spools] == ["host", *(f"host-{number}" for number in range(2, 11))]
    for number, spool in enumerate(spools):
        spool.append("fingers", [a_row(number)])
    for spool in spools:
        spool.recover()  # What others have open stays open.
    assert len(list(tmp_path.glob("fingers/log/*.open"))) == 10
    for number, spool in enumerate(spools):
        spool.close_segments()
        assert ids([segment.path for segment in spool.closed()]) == [number]
        with spool.orphans() as left:
            assert left == []
    for spool in spools:
        spool.close()


@pytest.mark.parametrize("name", ["host", "a.b", "host-2-20260101T000000Z", "Ünï cödé!", "", "x" * 300])
def test_servers_of_all_names_find_their_own(tmp_path: Path, name: str) -> None:
    one, two = Spool(tmp_path, MEGABYTE, name), Spool(tmp_path, MEGABYTE, f"{name}-2")
    for number, spool in enumerate((one, two)):
        spool.append("fingers", [a_row(number)])
        spool.close_segments()
    assert [ids(segment.path for segment in spool.closed()) for spool in (one, two)] == [[0], [1]]
    one.close()
    two.close()


def test_what_an_ended_server_left_is_adopted_once(tmp_path: Path) -> None:
    gone = Spool(tmp_path, MEGABYTE, "gone")
    gone.append("fingers", [a_row(1)])
    gone.close_segments()
    gone.append("fingers", [a_row(2)])
    one, two = Spool(tmp_path, MEGABYTE, "one"), Spool(tmp_path, MEGABYTE, "two")
    with one.orphans() as left:
        assert left == [], "it lives"
    gone.close()
    with one.orphans() as left, two.orphans() as others:
        assert ids(segment.path for segment in left) == [1, 2]
        assert {segment.replica for segment in left} == {"gone"}
        assert others == [], "one of them does it"
    one.close()
    two.close()


def test_a_clock_that_goes_back_gives_no_name_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopped(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Stopped:
            return cls(2026, 11, 29, 8, 0, 0, tzinfo=tz)

    monkeypatch.setattr(spool_module, "datetime", Stopped)
    names = set()
    for _ in range(3):
        spool = Spool(tmp_path, MEGABYTE, "one")
        for number in range(3):
            spool.append("fingers", [a_row(number)])
            spool.close_segments()
        names |= {segment.path.name for segment in spool.closed()}
        for segment in spool.closed():
            segment.path.unlink()
        spool.close()
    assert len(names) == 9
    assert all(name.startswith("one-20261129T080000Z-") for name in names)


def test_the_oldest_rows_go_when_mlflow_is_away_for_too_long(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    row = a_row(features={f"f{i}": i / 7 for i in range(40)})
    spool, dropped = Spool(tmp_path, 5000, "one"), 0
    for _ in range(60):
        dropped += spool.append("fingers", [row])
        spool.close_segments()
        assert spool.bytes <= 5000 + len(row.line())
    kept = sum(len(list(read_rows(segment.path))) for segment in spool.closed())
    assert (kept + dropped, kept > 3) == (60, True)
    assert "that MLflow has not got were removed" in caplog.text
    spool.close()


class FullDisk:
    """A disk that takes so many more bytes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room: int | None = None
        plain = Path.open

        def opened(path: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
            file = plain(path, mode, *args, **kwargs)
            return self._limited(file) if "a" in mode and self.room is not None else file

        monkeypatch.setattr(Path, "open", opened)

    def _limited(self, file: Any) -> Any:
        disk = self

        class Limited:
            def __enter__(self) -> Limited:
                return self

            def __exit__(self, *_: object) -> None:
                file.close()

            def write(self, data: bytes) -> None:
                assert disk.room is not None
                file.write(data[: disk.room])
                file.flush()
                if len(data) > disk.room:
                    raise OSError(errno.ENOSPC, "No space left on device")

            def __getattr__(self, name: str) -> Any:
                return getattr(file, name)

        return Limited()


def test_rows_that_a_full_disk_does_not_take_leave_no_part_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FullDisk(monkeypatch)
    spool = Spool(tmp_path, MEGABYTE, "one")
    spool.append("fingers", [a_row(1)])
    disk.room = 100
    with pytest.raises(OSError, match="No space left"):
        spool.append("fingers", [a_row(2), a_row(3)])
    disk.room = None
    spool.append("fingers", [a_row(4)])
    spool.close_segments()
    assert ids(segment.path for segment in spool.closed()) == [1, 4]
    spool.close()


def test_a_segment_that_cannot_be_closed_stays_open_and_is_closed_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path, MEGABYTE, "one")
    spool.append("fingers", [a_row(1)])

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(spool_module, "open_atomically", full)
        with pytest.raises(OSError, match="No space left"):
            spool.close_segments()
    spool.append("fingers", [a_row(2)])
    spool.close_segments()
    assert ids(segment.path for segment in spool.closed()) == [1, 2]
    spool.close()


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="the prediction log cannot be written to"):
        Spool(tmp_path / "file" / "monitoring", MEGABYTE)


@pytest.mark.parametrize("where", ["torn line", "closed twice", "garbage", "nothing"])
def test_whatever_a_killed_server_left_is_closed_with_all_whole_rows(tmp_path: Path, where: str) -> None:
    spool = Spool(tmp_path, MEGABYTE, "one")
    spool.append("fingers", [a_row(1), a_row(2)])
    (path,) = tmp_path.glob("fingers/log/*.open")
    if where == "torn line":
        with path.open("ab") as file:
            file.write(a_row(3).line().encode()[:-20])
    elif where == "closed twice":  # Killed between the two steps of closing.
        data = gzip.compress(path.read_bytes(), mtime=0)
        path.with_name(path.name.removesuffix(".open")).write_bytes(data)
    elif where == "garbage":
        with path.open("ab") as file:
            file.write(b"\xff\xfe\x00\n" + a_row(3).line().encode())
    else:
        path.write_bytes(b"")
    spool.close()
    again = Spool(tmp_path, MEGABYTE, "one")
    assert again.replica == "one"
    again.recover()
    again.recover()
    expected = {"garbage": [1, 2, 3], "nothing": []}.get(where, [1, 2])
    assert ids(segment.path for segment in again.closed()) == expected
    assert list(tmp_path.glob("fingers/log/*.open")) == []
    again.close()
