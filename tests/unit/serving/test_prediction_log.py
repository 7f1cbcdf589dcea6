"""The prediction log: what is kept, how much of it, and that nothing is lost or doubled on its way to MLflow."""

from __future__ import annotations

import asyncio
import errno
import gzip
import json
import logging
import os
import random
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.packages import build_package, encode, filled, picture
from fakes.registry import FakeMlflow
from handful_core.errors import ResourceError, UnavailableError
from handful_core.profile import LogRow, features_of_model, parse_row, read_rows
from handful_core.profile.answer import at_own_thresholds
from handful_core.registry.monitoring import MonitoringExperiments
from handful_core.vision.detections import Detections
from handful_core.vision.prediction import Prediction
from handful_serving.adapters import trusted_day
from handful_serving.adapters.prediction_log import spool as spool_module
from handful_serving.adapters.prediction_log.reservoir import Reservoir
from handful_serving.adapters.prediction_log.shipper import Shipper
from handful_serving.adapters.prediction_log.spool import Spool
from support.serving_app import make_app, running

HAND = encode(picture({(2, 3): "5"}))
MEGABYTE = 1_000_000


def a_row(number: int = 0, **fields: Any) -> LogRow:
    values: dict[str, Any] = {
        "id": f"{number:032x}",
        "at": datetime(2026, 11, 29, 8, tzinfo=UTC),
        "model": "fingers",
        "version": "1",
        "package": "d" * 64,
        "source": "",
        "weight": 1.0,
        "features": {"brightness": 0.5},
    }
    return LogRow(**(values | fields))


def chance(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311  # No secret.


async def until(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.01)


def ids(paths: Any) -> list[int]:
    """Numbers of the rows of segments, in order."""
    return [int(row.id, 16) for path in paths for row in read_rows(path)]


def uploaded(mlflow: FakeMlflow, run_id: str | None = None) -> list[LogRow]:
    """All rows that MLflow has."""
    rows = []
    for data in mlflow.monitoring.segments(run_id).values():
        for line in gzip.decompress(data).decode().splitlines():
            row = parse_row(line)
            assert row is not None, line
            rows.append(row)
    return rows


# The reservoir


def offer(reservoir: Reservoir[Any], stratum: object, item: object) -> None:
    if reservoir.admit(stratum):
        reservoir.put(stratum, item)


@given(counts=st.lists(st.integers(0, 200), max_size=9), size=st.integers(1, 50), seed=st.integers(0, 99))
@settings(max_examples=60)
def test_a_reservoir_keeps_no_more_than_its_size_and_weighs_all_that_it_saw(
    counts: list[int], size: int, seed: int
) -> None:
    reservoir: Reservoir[tuple[int, int]] = Reservoir(size, chance(seed))
    for stratum, count in enumerate(counts):
        for number in range(count):
            offer(reservoir, stratum, (stratum, number))
    sampled = reservoir.take()
    assert len({item for item, _ in sampled}) == len(sampled) == min(size, sum(counts))
    weights: Counter[int] = Counter()
    for (stratum, _), weight in sampled:
        weights[stratum] += weight  # type: ignore[assignment]
    for stratum, total in weights.items():
        assert total == pytest.approx(counts[stratum])
    if len([count for count in counts if count]) <= size:
        assert set(weights) == {stratum for stratum, count in enumerate(counts) if count}
    assert reservoir.take() == []


def test_a_quiet_source_is_not_drowned_by_a_busy_one() -> None:
    reservoir: Reservoir[str] = Reservoir(10, chance(0))
    for number in range(5000):
        offer(reservoir, "busy", "busy")
        if number % 2500 == 0:
            offer(reservoir, "quiet", "quiet")
    kept = Counter(item for item, _ in reservoir.take())
    assert kept == {"quiet": 2, "busy": 8}


def test_every_item_is_as_likely_to_be_kept() -> None:
    kept: Counter[int] = Counter()
    same = chance(1)
    for _ in range(2000):
        reservoir: Reservoir[int] = Reservoir(5, same)
        for number in range(20):
            offer(reservoir, "", number)
        kept.update(item for item, _ in reservoir.take())
    assert sum(kept.values()) == 10_000
    assert all(400 < kept[number] < 600 for number in range(20)), kept  # 500 each, and a deviation of 19.


def test_sources_that_are_made_up_take_bounded_memory() -> None:
    reservoir: Reservoir[int] = Reservoir(30, chance(2))
    for number in range(50_000):
        offer(reservoir, f"source-{number}", number)
    assert len(reservoir._strata) == 65
    assert len(reservoir.take()) == 30


def test_an_item_that_comes_after_its_minute_stands_for_itself() -> None:
    reservoir: Reservoir[str] = Reservoir(2, chance(0))
    assert [reservoir.admit("a") for _ in range(2)] == [True, True]
    assert reservoir.take() == [], "neither is answered yet"
    reservoir.put("a", "late")
    assert reservoir.take() == [("late", 1)]


def test_a_busy_stream_is_hardly_looked_at() -> None:
    reservoir: Reservoir[int] = Reservoir(30, chance(0))
    looked = sum(reservoir.admit("") for _ in range(6000))
    assert looked < 300, "30 and 30 times the logarithm of 200"


# The spool


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


# The shipper


@pytest.fixture
def mlflow() -> FakeMlflow:
    return FakeMlflow()


@pytest.fixture
def shipper(mlflow: FakeMlflow) -> Shipper:
    return Shipper(MonitoringExperiments("http://mlflow", attempts=1, transport=mlflow.transport()), days=30)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path, MEGABYTE, "one")
    yield spool
    spool.close()


def fill(spool: Spool, *numbers: int, model: str = "fingers") -> None:
    """One closed segment for each row."""
    for number in numbers:
        spool.append(model, [a_row(number, model=model)])
        spool.close_segments()


def test_segments_go_to_one_run_a_model_replica_and_day(mlflow: FakeMlflow, shipper: Shipper, spool: Spool) -> None:
    fill(spool, 1, 2)
    fill(spool, 3, model="leaves")
    shipper.ship(spool.closed())
    fill(spool, 4)
    shipper.ship(spool.closed())
    assert spool.closed() == []
    assert shipper.shipped == 4
    assert set(mlflow.monitoring.experiments) == {"monitoring/fingers", "monitoring/leaves"}
    fingers, leaves = mlflow.monitoring.runs.values()
    tags = {tag["key"]: tag["value"] for tag in fingers["data"]["tags"]}
    today = datetime.now(UTC).date().isoformat()
    assert tags == {"handful.kind": "prediction-log", "handful.replica": "one", "handful.day": today}
    assert fingers["info"]["status"] == "FINISHED"
    assert [int(row.id, 16) for row in uploaded(mlflow, fingers["info"]["run_id"])] == [1, 2, 4]
    assert [int(row.id, 16) for row in uploaded(mlflow, leaves["info"]["run_id"])] == [3]


def test_another_process_of_the_same_replica_goes_on_in_the_same_run(
    mlflow: FakeMlflow, shipper: Shipper, spool: Spool
) -> None:
    fill(spool, 1)
    shipper.ship(spool.closed())
    fill(spool, 2)
    other = Shipper(MonitoringExperiments("http://mlflow", attempts=1, transport=mlflow.transport()), 30)
    other.ship(spool.closed())
    assert len(mlflow.monitoring.runs) == 1
    assert len(uploaded(mlflow)) == 2


def test_segments_wait_for_mlflow_and_come_when_it_is_back(mlflow: FakeMlflow, shipper: Shipper, spool: Spool) -> None:
    fill(spool, 1, 2)
    mlflow.away = True
    for _ in range(3):
        with pytest.raises(UnavailableError):
            shipper.ship(spool.closed())
    fill(spool, 3)
    assert len(spool.closed()) == 3
    mlflow.away = False
    shipper.ship(spool.closed())
    assert sorted(int(row.id, 16) for row in uploaded(mlflow)) == [1, 2, 3]


@pytest.mark.parametrize("breaks_at", range(16))
def test_a_server_that_breaks_off_anywhere_loses_and_doubles_nothing(
    mlflow: FakeMlflow, shipper: Shipper, spool: Spool, breaks_at: int
) -> None:
    """The connection is lost before or after the server did its work, at each of the requests in turn."""
    fill(spool, 1, 2, 3)
    calls = 0

    def broken(request: httpx.Request) -> httpx.Response:
        nonlocal calls
        calls += 1
        if calls == breaks_at // 2 + 1 and breaks_at % 2:
            raise httpx.ReadError("lost before", request=request)
        mlflow.answer = None
        answer = mlflow.handle(request)
        mlflow.answer = broken
        if calls == breaks_at // 2 + 1:
            raise httpx.ReadError("lost after", request=request)
        return answer

    mlflow.answer = broken
    with suppress(UnavailableError):  # An experiment that was made without an answer is found at once.
        shipper.ship(spool.closed())
    assert calls > breaks_at // 2
    mlflow.answer = None
    shipper.ship(spool.closed())
    assert sorted({row.id for row in uploaded(mlflow)}) == [f"{number:032x}" for number in (1, 2, 3)]
    assert len(uploaded(mlflow)) == 3
    assert spool.closed() == []


def test_a_run_that_somebody_deleted_is_made_anew(mlflow: FakeMlflow, shipper: Shipper, spool: Spool) -> None:
    fill(spool, 1)
    shipper.ship(spool.closed())
    (run,) = mlflow.monitoring.runs.values()
    run["info"]["lifecycle_stage"] = "deleted"
    other = Shipper(MonitoringExperiments("http://mlflow", attempts=1, transport=mlflow.transport()), 30)
    fill(spool, 2)
    other.ship(spool.closed())
    assert len(mlflow.monitoring.runs) == 2


def test_what_mlflow_refuses_stays_here_and_holds_nothing_else_up(
    mlflow: FakeMlflow, shipper: Shipper, spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    fill(spool, 1)
    fill(spool, 2, model="leaves")
    mlflow.monitoring._create("monitoring/fingers")
    mlflow.monitoring.experiments["monitoring/fingers"]["lifecycle_stage"] = "deleted"
    for _ in range(3):
        shipper.ship(spool.closed())
    assert [segment.model for segment in spool.closed()] == ["fingers"]
    assert [row.model for row in uploaded(mlflow)] == ["leaves"]
    assert caplog.text.count("the prediction log of fingers stays on this machine") == 1
    mlflow.monitoring.experiments["monitoring/fingers"]["lifecycle_stage"] = "active"
    shipper.ship(spool.closed())
    assert len(uploaded(mlflow)) == 2


def old_run(mlflow: FakeMlflow, day: str, kind: str = "prediction-log") -> str:
    experiments = MonitoringExperiments("http://mlflow", attempts=1, transport=mlflow.transport())
    tags = {"handful.kind": kind, "handful.day": day, "handful.replica": "gone"}
    run = experiments.create("fingers", "old", tags)
    run.upload("log/old.jsonl.gz", gzip.compress(b""))
    return run.id


def active(mlflow: FakeMlflow) -> set[str]:
    runs = mlflow.monitoring.runs.items()
    return {run_id for run_id, run in runs if run["info"]["lifecycle_stage"] == "active"}


def days_ago(days: int) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).date().isoformat()


def test_old_days_are_removed_and_nothing_else(mlflow: FakeMlflow, shipper: Shipper) -> None:
    old = old_run(mlflow, days_ago(31))
    kept = {old_run(mlflow, days_ago(30)), old_run(mlflow, days_ago(0)), old_run(mlflow, days_ago(99), "verdict")}
    shipper.remove_old()
    assert active(mlflow) == kept
    assert mlflow.monitoring.segments(old) == {}
    old_run(mlflow, days_ago(31))
    shipper.remove_old()
    assert len(active(mlflow)) == 4, "once an hour is enough"


def test_a_log_that_is_kept_for_ever_is_kept(mlflow: FakeMlflow) -> None:
    old_run(mlflow, "2001-01-01")
    Shipper(MonitoringExperiments("http://mlflow", attempts=1, transport=mlflow.transport()), days=0).remove_old()
    assert len(active(mlflow)) == 1


@pytest.mark.parametrize("jump", [timedelta(days=400), timedelta(days=-400), timedelta(hours=2)])
def test_a_clock_that_jumps_removes_nothing(
    mlflow: FakeMlflow, shipper: Shipper, monkeypatch: pytest.MonkeyPatch, jump: timedelta
) -> None:
    old_run(mlflow, days_ago(31))

    class Jumped(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + jump

    monkeypatch.setattr(trusted_day, "datetime", Jumped)
    shipper.remove_old()
    assert len(active(mlflow)) == 1


def test_a_machine_whose_clock_is_wrong_from_the_start_removes_nothing_early(
    mlflow: FakeMlflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's clock counts, too."""
    old_run(mlflow, days_ago(3))

    class Ahead(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(days=400)

    monkeypatch.setattr(trusted_day, "datetime", Ahead)
    Shipper(MonitoringExperiments("http://mlflow", attempts=1, transport=mlflow.transport()), days=30).remove_old()
    assert len(active(mlflow)) == 1


# Thresholds of a request


def test_an_answer_is_logged_as_at_the_models_own_thresholds(tmp_path: Path) -> None:
    manifest = build_package(tmp_path / "p").manifest  # 0.25 and 0.7
    detections = Detections(np.zeros((3, 4), np.float32), np.float32([0.9, 0.3, 0.1]), np.int64([1, 1, 1]))
    answer = Prediction(detections)
    assert at_own_thresholds(answer, manifest, 0.25, 0.7) is answer
    lower = at_own_thresholds(answer, manifest, 0.05, 0.7)
    assert lower is not None
    assert lower.detections.scores.tolist() == pytest.approx([0.9, 0.3])
    assert at_own_thresholds(answer, manifest, 0.5, 0.7) is None
    assert at_own_thresholds(answer, manifest, 0.25, 0.5) is None
    classified = Prediction(probabilities=np.float32([0.5, 0.5]))
    assert at_own_thresholds(classified, manifest, 0.9, 0.1) is classified


# In the server


def logging_app(folder: Path, mlflow: FakeMlflow, **options: Any) -> Any:
    """A server that writes and ships ten times a second."""
    given = {"prediction_log": True, "prediction_log_segment_seconds": 0.1, "prediction_log_rows": 100}
    return make_app(folder, mlflow, **(given | options))


@pytest.fixture
def served(tmp_path: Path, mlflow: FakeMlflow) -> FakeMlflow:
    mlflow.register(build_package(tmp_path / "one"), aliases=["champion"])
    mlflow.register(build_package(tmp_path / "leaves", "logits", name="leaves", limits=True), "leaves", ["champion"])
    return mlflow


@pytest.fixture
async def client(tmp_path: Path, served: FakeMlflow) -> AsyncIterator[httpx.AsyncClient]:
    async with running(logging_app(tmp_path, served)) as asking:
        yield asking


async def rows_of(mlflow: FakeMlflow, count: int) -> list[LogRow]:
    """The rows that MLflow has, when so many are there."""
    await until(lambda: len(uploaded(mlflow)) >= count)
    rows = uploaded(mlflow)
    assert len(rows) == count
    return rows


@pytest.mark.anyio
async def test_an_answer_becomes_a_row_with_all_features_and_no_picture(
    tmp_path: Path, served: FakeMlflow, client: httpx.AsyncClient
) -> None:
    before = datetime.now(UTC)
    response = await client.post("/predict?source=camera-1", content=HAND, headers={"Content-Type": "image/png"})
    assert response.status_code == 200
    (row,) = await rows_of(served, 1)
    manifest = build_package(tmp_path / "same").manifest
    assert (row.model, row.version, row.source, row.weight) == ("fingers", "1", "camera-1", 1)
    assert before - timedelta(seconds=1) < row.at <= datetime.now(UTC)
    assert len(row.package) == 64
    assert list(row.features) == [feature.name for feature in features_of_model(manifest)]
    assert (row.features["count"], row.features["first_class"], row.features["detections.5"]) == (5, "5", 1)
    assert row.features["format"] == "PNG"
    assert set(json.loads(row.line())) == {
        "id", "at", "model", "version", "package", "source", "weight", "features",
    }  # fmt: skip
    assert all(value is None or isinstance(value, (int, float, str)) for value in row.features.values())


@pytest.mark.anyio
async def test_all_ways_to_ask_are_logged(served: FakeMlflow, client: httpx.AsyncClient) -> None:
    files = [("images", (f"{n}.png", HAND)) for n in range(2)]
    assert (await client.post("/predict/batch", files=files, data={"source": "form"})).json()["failed"] == 0
    assert (await client.post("/predict", files={"image": HAND}, data={"model": "leaves"})).status_code == 200
    infer = {
        "inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": [_base64(HAND)]}],
        "parameters": {"source": "v2"},
    }
    assert (await client.post("/v2/models/fingers/infer", json=infer)).status_code == 200
    rows = await rows_of(served, 4)
    assert Counter((row.model, row.source) for row in rows) == {
        ("fingers", "form"): 2,
        ("leaves", ""): 1,
        ("fingers", "v2"): 1,
    }
    assert len({row.id for row in rows}) == 4


def _base64(data: bytes) -> str:
    import base64

    return base64.b64encode(data).decode()


@pytest.mark.anyio
async def test_an_image_that_is_refused_is_no_row(served: FakeMlflow, client: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "image/png"}
    assert (await client.post("/predict", content=b"no image", headers=headers)).status_code == 415
    assert (await client.post("/predict", content=HAND, headers=headers)).status_code == 200
    await rows_of(served, 1)


@pytest.mark.anyio
@pytest.mark.parametrize("source", ["", "../etc", "a b", "x" * 65, "-a", "naïve", "a\nb"])
async def test_a_source_is_a_plain_word(client: httpx.AsyncClient, source: str) -> None:
    response = await client.post(
        "/predict", params={"source": source}, content=HAND, headers={"Content-Type": "image/png"}
    )
    assert response.status_code == 400
    assert "source" in response.json()["detail"]


@pytest.mark.anyio
async def test_a_request_at_a_higher_threshold_says_nothing_of_detections(
    served: FakeMlflow, client: httpx.AsyncClient
) -> None:
    for query in ("confidence=0.99", "iou=0.3", "confidence=0.01"):
        await client.post(f"/predict?{query}", content=HAND, headers={"Content-Type": "image/png"})
    high, iou, low = await rows_of(served, 3)
    for row in (high, iou):
        assert row.features["detections"] is None
        assert row.features["brightness"] is not None
    assert low.features["detections"] == 1


@pytest.mark.anyio
async def test_of_many_answers_a_sample_is_kept(tmp_path: Path, served: FakeMlflow) -> None:
    app = logging_app(tmp_path, served, prediction_log_rows=5, prediction_log_segment_seconds=1000)
    async with running(app) as client:
        for _ in range(23):
            await client.post("/predict", content=HAND, headers={"Content-Type": "image/png"})
    rows = uploaded(served)
    assert [row.weight for row in rows] == [4.6] * 5


@pytest.mark.anyio
async def test_a_server_that_ends_ships_what_it_has(tmp_path: Path, served: FakeMlflow) -> None:
    async with running(logging_app(tmp_path, served, prediction_log_segment_seconds=1000)) as client:
        await client.post("/predict", content=HAND, headers={"Content-Type": "image/png"})
    assert len(uploaded(served)) == 1
    assert list((tmp_path / "home" / "monitoring").glob("*/log/*")) == []


@pytest.mark.anyio
async def test_off_means_off(tmp_path: Path, served: FakeMlflow) -> None:
    async with running(make_app(tmp_path, served, prediction_log=False)) as client:
        await client.post("/predict?source=a", content=HAND, headers={"Content-Type": "image/png"})
        assert "handful_prediction_log" not in (await client.get("/metrics")).text
    assert not (tmp_path / "home" / "monitoring").exists()
    assert served.monitoring.runs == {}
    assert not [path for path in served.requests if "experiments" in path]


@pytest.mark.anyio
async def test_answers_go_on_when_mlflow_is_away_and_are_told_later(tmp_path: Path, served: FakeMlflow) -> None:
    async with running(logging_app(tmp_path, served)) as client:
        served.away = True
        for _ in range(3):
            response = await client.post("/predict", content=HAND, headers={"Content-Type": "image/png"})
            assert response.status_code == 200
        folder = tmp_path / "home" / "monitoring" / "fingers" / "log"
        await until(lambda: sum(len(list(read_rows(path))) for path in folder.glob("*.gz")) == 3)
        metrics = (await client.get("/metrics")).text
        assert 'handful_prediction_log_rows_total{outcome="written"} 3.0' in metrics
        assert "handful_prediction_log_segments_total 0.0" in metrics
        served.away = False
        await rows_of(served, 3)
        assert "handful_prediction_log_waiting_bytes 0.0" in (await client.get("/metrics")).text


@pytest.mark.anyio
async def test_answers_go_on_when_the_folder_cannot_be_written(
    tmp_path: Path, served: FakeMlflow, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(logging_app(tmp_path, served)) as client:
        folder = tmp_path / "home" / "monitoring"
        await until(folder.is_dir)
        (folder / "fingers").write_text("in the way")
        for _ in range(2):
            response = await client.post("/predict", content=HAND, headers={"Content-Type": "image/png"})
            assert response.status_code == 200
        await until(lambda: "leaves rows out" in caplog.text)

        async with asyncio.timeout(30):
            while 'handful_prediction_log_rows_total{outcome="dropped"} 2.0' not in (await client.get("/metrics")).text:
                await asyncio.sleep(0.02)
        (folder / "fingers").unlink()
        await client.post("/predict", content=HAND, headers={"Content-Type": "image/png"})
        await rows_of(served, 1)
    assert [record.levelno for record in caplog.records if "leaves rows out" in record.message] == [logging.WARNING]


@pytest.mark.anyio
async def test_a_fault_of_our_own_costs_its_rows_and_not_the_log(
    tmp_path: Path, served: FakeMlflow, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from handful_serving.adapters.prediction_log import log

    async with running(logging_app(tmp_path, served)) as client:
        with monkeypatch.context() as patch:
            patch.setattr(log, "_features", lambda _: 1 / 0)
            await client.post("/predict", content=HAND, headers={"Content-Type": "image/png"})
            await until(lambda: "rows of the prediction log are lost" in caplog.text)
        assert 'handful_prediction_log_rows_total{outcome="dropped"} 1.0' in (await client.get("/metrics")).text
        await client.post("/predict", content=HAND, headers={"Content-Type": "image/png"})
        await rows_of(served, 1)


@pytest.mark.anyio
async def test_a_classifiers_row(tmp_path: Path, served: FakeMlflow, client: httpx.AsyncClient) -> None:
    await client.post(
        "/predict?model=leaves&explain=true", content=encode(filled("3")), headers={"Content-Type": "image/png"}
    )
    (row,) = await rows_of(served, 1)
    assert (row.features["first_class"], row.features["set_size"]) == ("3", 1)
    assert row.features["distance"] == pytest.approx(0, abs=1e-3)


# Killed


WRITER = """
    import sys
    from datetime import UTC, datetime
    from pathlib import Path
    from handful_core.profile import LogRow
    from handful_serving.adapters.prediction_log.spool import Spool

    spool = Spool(Path(sys.argv[1]), 50_000_000, "one")
    spool.recover()
    number = int(sys.argv[2])
    while True:
        rows = [
            LogRow(f"{number + i:032x}", datetime.now(UTC), "fingers", "1", "d", "", 1.0, {"a": 0.5}) for i in range(7)
        ]
        spool.append("fingers", rows)
        number += 7
        if number % 3 == 0:
            spool.close_segments()
            print(number, flush=True)
"""


def test_kill_9_loses_no_closed_segment_and_doubles_none(tmp_path: Path, mlflow: FakeMlflow, shipper: Shipper) -> None:
    """Killed at ten moments: all that was said to be closed is there once, with what was written since."""
    script = tmp_path / "writer.py"
    script.write_text(textwrap.dedent(WRITER))
    folder, said = tmp_path / "monitoring", []
    for kill in range(10):
        first = kill * 1_000_000
        process = subprocess.Popen(
            [sys.executable, str(script), str(folder), str(first)], stdout=subprocess.PIPE, text=True, env=os.environ
        )
        assert process.stdout is not None
        last = int(process.stdout.readline())
        deadline = time.monotonic() + 0.02 * kill
        while time.monotonic() < deadline:
            last = int(process.stdout.readline())
        process.kill()
        rest = process.stdout.read().split()
        process.wait()
        process.stdout.close()
        said.append((first, max([last, *map(int, rest[:-1])])))
    spool = Spool(folder, 50 * MEGABYTE, "one")
    spool.recover()
    shipper.ship(spool.closed())
    spool.close()
    found = Counter(int(row.id, 16) for row in uploaded(mlflow))
    assert set(found.values()) == {1}, "none is doubled"
    for first, last in said:
        assert all(number in found for number in range(first, last)), "none that was closed is lost"
    assert list((folder / "fingers" / "log").iterdir()) == []
