"""Segments on their way to MLflow: none is lost or doubled, and old days go."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import textwrap
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from fakes.registry import FakeMlflow
from handful_core.errors import UnavailableError
from handful_core.registry.monitoring import MonitoringExperiments
from handful_serving.adapters import trusted_day
from handful_serving.adapters.prediction_log.shipper import Shipper
from handful_serving.adapters.prediction_log.spool import Spool
from support.log_rows import MEGABYTE, fill, uploaded


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
