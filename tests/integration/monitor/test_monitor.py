"""`handful monitor` with a real MLflow: logs in artifacts and in the spool, verdicts, each row judged once."""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from fakes.packages import build_package
from handful_core.cli.main import build_app
from handful_core.errors import RefusedError, UnavailableError
from handful_core.package import ProfileSpec, write_package
from handful_core.package.archive import describe_files
from handful_core.profile import Feature, LogRow, Profile
from handful_core.registry import Registry
from handful_core.registry.monitoring import DAY, KIND, PREDICTION_LOG, REPLICA, MonitoringExperiments
from handful_monitor.history import VerdictHistory
from handful_monitor.judge import Judge
from handful_monitor.log import PredictionLog
from handful_monitor.references import References
from handful_monitor.settings import MonitorSettings
from handful_monitor.watch import Watch
from support.registering import register

FEATURES = (Feature("brightness", "continuous"), Feature("detections", "count"), Feature("first_class", "category"))
NOW = datetime.now(UTC)


def features(count: int, seed: int, brightness: float = 0.5) -> list[dict[str, Any]]:
    random = np.random.default_rng(seed)
    return [
        {"brightness": round(float(b), 5), "detections": int(n), "first_class": "5" if n else ""}
        for b, n in zip(random.normal(brightness, 0.1, count), random.poisson(1, count), strict=True)
    ]


class Served:
    """A registered version with a profile, and a log that a server might have written."""

    def __init__(self, uri: str, folder: Path) -> None:
        self.name, self.home = f"watched-{uuid.uuid4().hex[:8]}", folder / "home"
        package = build_package(folder / "package")
        Profile.of_rows("detect", FEATURES, {"val": features(300, 0)}).write(package.root)
        update = {"profile": ProfileSpec(images=300), "files": describe_files(package.root)}
        self.digest = write_package(package.root, package.manifest.model_copy(update=update)).digest
        self.version = str(register(uri, package.root, self.name))
        self.experiments = MonitoringExperiments(uri, 60)
        self.registry = Registry(uri, 60)
        self._written = 0

    def segment(self, rows: Sequence[dict[str, Any]], source: str = "", digest: str = "") -> tuple[str, bytes]:
        """A closed segment's name and content."""
        self._written += 1
        begin = NOW - timedelta(hours=2) + timedelta(minutes=self._written)
        logged = [
            LogRow(uuid.uuid4().hex, begin + timedelta(milliseconds=i), self.name, self.version,
                   digest or self.digest, source, 1.0, row)
            for i, row in enumerate(rows)
        ]  # fmt: skip
        name = f"one-{begin:%Y%m%dT%H%M%SZ}-abcdef-{self._written:04}.jsonl.gz"
        return name, gzip.compress("".join(row.line() for row in logged).encode())

    def ship(self, segment: tuple[str, bytes]) -> None:
        """To MLflow."""
        tags = {KIND: PREDICTION_LOG, REPLICA: "one", DAY: NOW.date().isoformat()}
        run = next(self.experiments.runs(self.name, tags), None) or self.experiments.create(self.name, "log", tags)
        run.upload(f"log/{segment[0]}", segment[1])

    def spool(self, segment: tuple[str, bytes]) -> None:
        """On this machine."""
        folder = self.home / "monitoring" / self.name / "log"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / segment[0]).write_bytes(segment[1])

    def watch(self, minutes: float = 0) -> Watch:
        """A new process's."""
        log = PredictionLog(self.name, self.home, self.experiments)
        history = VerdictHistory(self.name, self.experiments)
        settings = MonitorSettings(minutes=minutes)
        return Watch(self.name, log, history, Judge(References(self.registry)), settings)

    def judged(self) -> list[int]:
        """Rows of every verdict that is kept."""
        found = VerdictHistory(self.name, self.experiments).all(NOW - timedelta(days=1))
        return [document["window"]["rows"] for _, document in found]


@pytest.fixture
def served(mlflow_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("HANDFUL_MLFLOW_URI", mlflow_server)
    found = Served(mlflow_server, tmp_path)
    monkeypatch.setenv("HANDFUL_HOME", str(found.home))
    with found.registry, found.experiments:
        yield found


def report(served: Served, *words: str) -> list[dict[str, Any]]:
    done = CliRunner().invoke(build_app(), ["monitor", "report", served.name, "--json", *words], catch_exceptions=False)
    documents: list[dict[str, Any]] = json.loads(done.stdout)
    return documents


def test_a_report_says_what_has_changed_and_keeps_it(served: Served) -> None:
    served.ship(served.segment(features(300, 1), "steady"))
    served.ship(served.segment(features(300, 2), "steady"))
    served.ship(served.segment(features(300, 3, brightness=0.3), "dark"))
    served.spool(served.segment(features(300, 4, brightness=0.3), "dark"))
    served.ship(served.segment(features(30, 5), "quiet"))
    verdicts = {found["source"]: found for found in report(served)}
    assert {source: found["verdict"] for source, found in verdicts.items()} == {
        "steady": "steady",
        "dark": "changed",
        "quiet": "too few",
    }
    (dark,) = (each for each in verdicts["dark"]["features"] if each["changed"])
    assert dark["name"] == "brightness"
    assert dark["says"] == "Pictures are darker than in training"
    assert (dark["then"], dark["now"]) == (pytest.approx(0.5, abs=0.03), pytest.approx(0.3, abs=0.03))
    assert verdicts["dark"]["window"]["rows"] == 250
    (kept,) = (
        run
        for run in served.experiments.runs(served.name, {KIND: "monitor-report"})
        if run.tags["handful.source"] == "dark"
    )
    assert kept.tags["handful.verdict"] == "changed"
    assert json.loads(kept.read("verdict.json"))["features"][0]["name"] == "brightness"
    with pytest.raises(RefusedError, match="1 of 3 have changed"):
        report(served, "--check", "--no-log")
    assert len(list(served.experiments.runs(served.name, {KIND: "monitor-report"}))) == 3, "--no-log keeps nothing"


def test_one_window_that_differs_is_no_change_yet(served: Served) -> None:
    served.ship(served.segment(features(250, 1)))
    served.ship(served.segment(features(250, 2, brightness=0.3)))
    (found,) = report(served)
    assert found["verdict"] == "steady"
    assert [each["name"] for each in found["features"] if each["differs"]] == ["brightness"]


def test_watch_judges_each_row_once_whatever_is_killed(served: Served) -> None:
    served.ship(segment := served.segment(features(300, 1)))
    served.spool(segment)  # Shipped, and not yet removed.
    first = served.watch()
    assert [verdict.state.value for verdict in first.once()] == ["steady"]
    assert list(first.once()) == []
    served.ship(served.segment(features(260, 2, brightness=0.3)))
    # The process ends here; another one goes on.
    assert [verdict.state.value for verdict in served.watch().once()] == ["steady"]
    served.ship(served.segment(features(100, 3, brightness=0.3)))
    third = served.watch()
    assert list(third.once()) == [], "100 rows wait"
    served.ship(served.segment(features(200, 4, brightness=0.3)))
    (verdict,) = third.once()
    assert verdict.state.value == "changed"
    assert list(served.watch().once()) == []
    assert served.judged() == [300, 260, 300]
    found = CliRunner().invoke(build_app(), ["monitor", "status", served.name], catch_exceptions=False)
    assert "Pictures are darker than in training" in " ".join(found.stdout.split())


def test_mlflow_that_goes_away_while_a_verdict_is_kept_doubles_nothing(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.ship(served.segment(features(300, 1)))
    watch, add = served.watch(), VerdictHistory.add

    def lost(self: VerdictHistory, *words: Any) -> None:
        add(self, *words)
        raise UnavailableError("the answer was lost")

    monkeypatch.setattr(VerdictHistory, "add", lost)
    with pytest.raises(UnavailableError):
        list(watch.once())
    monkeypatch.setattr(VerdictHistory, "add", add)
    assert list(watch.once()) == []
    assert served.judged() == [300]


def test_rows_of_another_package_and_damaged_segments_are_left_out_and_named(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    served.ship(served.segment(features(250, 1)))
    served.ship(served.segment(features(50, 2, brightness=0.1), digest="0" * 64))
    name, content = served.segment(features(100, 3))
    served.ship((name, content[: len(content) // 2]))
    (found,) = report(served, "--no-log")
    assert found["verdict"] == "steady"
    assert "50 rows are left out: another package answered them under the same version" in found["notes"]
    assert any(name in record.message for record in caplog.records)


def test_a_version_without_a_profile_says_so(served: Served, mlflow_server: str, tmp_path: Path) -> None:
    served.version = str(register(mlflow_server, build_package(tmp_path / "old").root, served.name))
    served.ship(served.segment(features(250, 1)))
    (found,) = report(served, "--no-log")
    assert found["verdict"] == "too few"
    assert "has no profile of the images that it was accepted on" in found["notes"][0]
