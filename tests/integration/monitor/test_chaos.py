"""Monitor, server, MLflow, disk and clock fail in the middle: each closed segment is judged, and none twice."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Self

import pytest

from handful_core.errors import RefusedError, UnavailableError
from handful_core.profile import LogRow
from handful_core.registry import Registry
from handful_core.registry.monitoring import MonitoringExperiments
from handful_monitor import watch as watch_module
from handful_monitor.history import VerdictHistory
from handful_monitor.watch import Watch
from handful_serving.adapters.prediction_log import spool as spool_module
from handful_serving.adapters.prediction_log.shipper import Shipper
from handful_serving.adapters.prediction_log.spool import Spool
from support.mlflow_server import MlflowServer
from support.small_disk import fill, small_disk
from support.watched_model import WatchedModel, features

TURNS, ROWS = 8, 60
MEGABYTE = 1_000_000


class Killed(BaseException):
    """As SIGKILL: nothing of this process runs any more."""


class Clock(datetime):
    """A clock that somebody sets."""

    ahead = timedelta()

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        """So far from the time that it is."""
        return cls.fromtimestamp((datetime.now(UTC) + cls.ahead).timestamp(), tz)


class World:
    """A server that logs, MLflow, a disk, a clock, and a monitor: all real, and all can fail."""

    def __init__(self, model: WatchedModel, mlflow: MlflowServer, home: Path) -> None:
        self.model, self.mlflow, self.written = model, mlflow, 0
        model.home = home
        model.close()
        model.experiments = MonitoringExperiments(mlflow.uri, 60, attempts=1)
        model.registry = Registry(mlflow.uri, 60, attempts=1)
        self.shipper = Shipper(MonitoringExperiments(mlflow.uri, 60, attempts=1), days=0)
        self.closed: set[str] = set()
        self.spool = self.start_server()
        self.watch = model.watch()

    def close(self) -> None:
        """Its connections."""
        self.model.close()
        self.shipper.close()
        self.spool.close()

    def start_server(self) -> Spool:
        """As after `kill -9`: what was open is closed."""
        spool = Spool(self.model.home / "monitoring", 20 * MEGABYTE, "one")
        spool.recover()
        return spool

    def log(self) -> None:
        """One more closed segment; a full disk takes none."""
        self.append()
        self.spool.close_segments()
        self.note_closed()

    def append(self) -> None:
        """Rows of an open segment."""
        model = self.model
        rows = [
            LogRow(uuid.uuid4().hex, datetime.now(UTC), model.name, model.version, model.digest, "", 1.0, row)
            for row in features(ROWS, self.written)
        ]
        self.written += 1
        self.spool.append(model.name, rows)

    def note_closed(self) -> None:
        """These are not to be lost."""
        self.closed |= {segment.path.name for segment in self.spool.closed()}

    def ship(self) -> None:
        """All that waits; MLflow may be away."""
        self.shipper.ship(self.spool.closed())

    def judge(self) -> None:
        """One round of the monitor."""
        for _ in self.watch.once():
            pass

    def judged(self) -> Counter[str]:
        """How often each segment is in a verdict."""
        found = VerdictHistory(self.model.name, self.model.experiments).all(datetime.now(UTC) - timedelta(days=3))
        return Counter(name for _, document in found for name in document["segments"])


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(watch_module, "datetime", Clock)
    monkeypatch.setattr(spool_module, "datetime", Clock)
    Clock.ahead = timedelta()
    mlflow = MlflowServer(tmp_path / "mlflow").start()
    try:
        with small_disk(tmp_path / "disk", megabytes=8) as disk:
            model = WatchedModel(mlflow.uri, tmp_path)
            world = World(model, mlflow, disk)
            yield world
            world.close()
    finally:
        mlflow.stop()


@pytest.fixture
def model(mlflow_server: str, tmp_path: Path) -> Iterator[WatchedModel]:
    found = WatchedModel(mlflow_server, tmp_path)
    yield found
    found.close()


class Chaos:
    """What fails, each in its turn."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world, self.monkeypatch, self.done = world, monkeypatch, Counter[str]()
        self.turns = (
            self.nothing, self.mlflow_is_killed, self.monitor_is_killed_before_a_verdict,
            self.monitor_is_killed_after_a_verdict, self.disk_is_full, self.clock_is_ahead, self.clock_is_behind,
            self.server_is_killed,
        )  # fmt: skip

    def turn(self, number: int) -> None:
        """Let the next one fail."""
        act = self.turns[number % len(self.turns)]
        act()
        self.done[act.__name__] += 1

    def nothing(self) -> None:
        self.world.ship()
        self.world.judge()

    def mlflow_is_killed(self) -> None:
        """Segments are on their way, and a verdict is due."""
        self.world.mlflow.kill()
        for act in (self.world.ship, self.world.judge):
            with pytest.raises(UnavailableError):
                act()
        self.world.mlflow.start()

    def monitor_is_killed_before_a_verdict(self) -> None:
        self._killed_at_a_verdict(after=False)

    def monitor_is_killed_after_a_verdict(self) -> None:
        self._killed_at_a_verdict(after=True)

    def disk_is_full(self) -> None:
        """Rows are refused, nothing is fetched, and the monitor has just begun."""
        world, ballast = self.world, fill(self.world.model.home)
        with pytest.raises(OSError, match="No space left"):
            world.log()
        world.watch = world.model.watch()
        for act in (world.ship, world.judge):
            try:
                act()
            except OSError:
                self.done["failures on a full disk"] += 1
        ballast.unlink()
        world.spool.close_segments()

    def clock_is_ahead(self) -> None:
        """By a month, for a round."""
        Clock.ahead = timedelta(days=30)
        self.world.judge()
        Clock.ahead = timedelta()

    def clock_is_behind(self) -> None:
        """By an hour, for a segment's name and a round."""
        Clock.ahead = -timedelta(hours=1)
        self.world.log()
        self.world.judge()
        Clock.ahead = timedelta()

    def server_is_killed(self) -> None:
        """With an open segment; another one goes on."""
        self.world.append()
        self.world.spool.close()
        self.world.spool = self.world.start_server()
        self.world.note_closed()
        self.world.ship()

    def _killed_at_a_verdict(self, *, after: bool) -> None:
        add = VerdictHistory.add

        def kill(history: VerdictHistory, *words: Any) -> None:
            if after:
                add(history, *words)
            raise Killed

        for _ in range(5):  # Enough rows for a verdict.
            self.world.log()
        self.world.ship()
        with self.monkeypatch.context() as patch:
            patch.setattr(VerdictHistory, "add", kill)
            with pytest.raises(Killed):
                self.world.judge()
        self.world.watch = self.world.model.watch()


def test_no_closed_segment_is_lost_and_none_is_judged_twice(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    chaos = Chaos(world, monkeypatch)
    for number in range(TURNS):
        world.log()
        chaos.turn(number)
    for _ in range(5):  # Enough rows for a verdict on the rest.
        world.log()
    world.ship()
    world.judge()
    judged = world.judged()
    counts = {
        "closed": len(world.closed),
        "lost": len(world.closed - set(judged)),
        "doubled": sum(count > 1 for count in judged.values()),
    }
    print(json.dumps({**counts, **chaos.done}))  # pytest -s shows the counts.
    assert all(chaos.done[act.__name__] == TURNS // len(chaos.turns) for act in chaos.turns)
    assert counts["closed"] > TURNS
    assert (counts["lost"], counts["doubled"]) == (0, 0)


def test_of_two_monitors_one_refuses_and_no_verdict_is_doubled(model: WatchedModel) -> None:
    one, two = model.watch(), model.watch()
    model.ship(model.segment(features(250, 1)))
    assert len(list(one.once())) == 1
    # The other one began before that verdict was there.
    two._remembers = True
    with pytest.raises(RefusedError, match="another `handful monitor watch` judges"):
        list(two.once())
    assert list(two.once()) == [], "it has learned of the other's verdict"
    assert model.judged() == [250]


def test_two_monitors_at_the_same_moment(model: WatchedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has looked before the other writes: the one that writes later takes its own back."""
    one, two = model.watch(), model.watch()
    model.ship(model.segment(features(250, 1)))
    refuse, both = VerdictHistory._refuse_others, []

    def first_the_other(self: VerdictHistory, *words: Any) -> None:
        refuse(self, *words)
        if not both:
            both.append(True)
            both.extend(one.once())

    monkeypatch.setattr(VerdictHistory, "_refuse_others", first_the_other)
    with pytest.raises(RefusedError, match="another `handful monitor watch` judges"):
        list(two.once())
    assert len(both) == 2, "the other one has kept its verdict"
    assert model.judged() == [250]
    assert list(two.once()) == []


def test_a_monitor_that_was_ahead_of_time_judges_what_it_took_for_old(
    model: WatchedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "datetime", Clock)
    model.spool(model.segment(features(250, 1)))
    Clock.ahead = timedelta(days=30)
    watch: Watch = model.watch()
    assert list(watch.once()) == []
    Clock.ahead = timedelta()
    assert [verdict.state.value for verdict in watch.once()] == ["steady"]
    assert list(watch.once()) == []
    assert model.judged() == [250]
