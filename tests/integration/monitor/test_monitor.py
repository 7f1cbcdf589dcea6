"""`handful monitor` with a real MLflow: logs in artifacts and in the spool, verdicts, each row judged once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fakes.packages import build_package
from handful_core.cli.main import build_app
from handful_core.errors import RefusedError, UnavailableError
from handful_core.registry.monitoring import KIND
from handful_monitor.history import VerdictHistory
from support.registering import register
from support.watched_model import WatchedModel, features


def report(served: WatchedModel, *words: str) -> list[dict[str, Any]]:
    done = CliRunner().invoke(build_app(), ["monitor", "report", served.name, "--json", *words], catch_exceptions=False)
    documents: list[dict[str, Any]] = json.loads(done.stdout)
    return documents


def test_a_report_says_what_has_changed_and_keeps_it(served: WatchedModel) -> None:
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


def test_one_window_that_differs_is_no_change_yet(served: WatchedModel) -> None:
    served.ship(served.segment(features(250, 1)))
    served.ship(served.segment(features(250, 2, brightness=0.3)))
    (found,) = report(served)
    assert found["verdict"] == "steady"
    assert [each["name"] for each in found["features"] if each["differs"]] == ["brightness"]


def test_watch_judges_each_row_once_whatever_is_killed(served: WatchedModel) -> None:
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
    served: WatchedModel, monkeypatch: pytest.MonkeyPatch
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
    served: WatchedModel, caplog: pytest.LogCaptureFixture
) -> None:
    served.ship(served.segment(features(250, 1)))
    served.ship(served.segment(features(50, 2, brightness=0.1), digest="0" * 64))
    name, content = served.segment(features(100, 3))
    served.ship((name, content[: len(content) // 2]))
    (found,) = report(served, "--no-log")
    assert found["verdict"] == "steady"
    assert "50 rows are left out: another package answered them under the same version" in found["notes"]
    assert any(name in record.message for record in caplog.records)


def test_a_version_without_a_profile_says_so(served: WatchedModel, mlflow_server: str, tmp_path: Path) -> None:
    served.version = str(register(mlflow_server, build_package(tmp_path / "old").root, served.name))
    served.ship(served.segment(features(250, 1)))
    (found,) = report(served, "--no-log")
    assert found["verdict"] == "too few"
    assert "has no profile of the images that it was accepted on" in found["notes"][0]
