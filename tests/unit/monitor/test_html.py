"""Reports in HTML: what Evidently is given, and what is said when it is not there or fails."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from handful_core.errors import ConfigError, HandfulError
from handful_core.profile import Feature, FeatureValue, LogRow, Profile
from handful_monitor import html
from handful_monitor.html import draw_report, find_evidently

FEATURES = (
    Feature("brightness", "continuous"),
    Feature("score_mean", "continuous"),
    Feature("detections", "count"),
    Feature("first_class", "category"),
)
PROFILE = Profile.of_rows(
    "detect",
    FEATURES,
    {"val": [{"brightness": 0.5, "score_mean": None, "detections": 0, "first_class": ""},
             {"brightness": 0.6, "score_mean": 0.9, "detections": 1, "first_class": "5"}]},
)  # fmt: skip
STANDS_IN = """
    import json, os, sys
    from pathlib import Path
    data, target = map(Path, sys.argv[1:])
    environment = {name: os.environ.get(name) for name in ("DO_NOT_TRACK", "HOME")}
    target.write_text(json.dumps({"data": json.loads(data.read_text()), "environment": environment}))
"""


def row(number: int, **features: FeatureValue) -> LogRow:
    return LogRow(f"{number:032x}", datetime(2026, 11, 29, 8, number, tzinfo=UTC), "fingers", "1", "d", "", 1, features)


ROWS = [
    row(0, brightness=0.2, score_mean=None, detections=0, first_class=""),
    row(1, brightness=0.3, score_mean=0.7, detections=2, first_class="never seen"),
]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Takes Evidently's place: it writes down what it was given."""
    path = tmp_path / "program.py"
    path.write_text("\n".join(line[4:] for line in STANDS_IN.splitlines()))
    monkeypatch.setattr(html, "_PROGRAM", path)
    return path


def drawn(profile: Profile = PROFILE, rows: list[LogRow] = ROWS) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(draw_report(Path(sys.executable), profile, rows))
    return found


def test_evidently_is_given_both_sides_by_kind_of_feature(program: Path) -> None:
    assert drawn()["data"] == {
        "numbers": ["brightness", "score_mean", "detections"],
        "words": ["first_class"],
        "reference": {
            "brightness": [0.5, 0.6], "score_mean": [None, 0.9], "detections": [0, 1], "first_class": ["", "5"],
        },
        "current": {
            "brightness": [0.2, 0.3], "score_mean": [None, 0.7], "detections": [0, 2],
            "first_class": ["", "never seen"],
        },
    }  # fmt: skip


def test_its_telemetry_is_off_and_it_writes_to_no_home(program: Path) -> None:
    environment = drawn()["environment"]
    assert environment["DO_NOT_TRACK"] == "1"
    assert environment["HOME"] != os.environ.get("HOME")


def test_columns_without_any_value_are_left_out(program: Path) -> None:
    rows = [row(number, brightness=0.2, score_mean=None, detections=0, first_class="") for number in range(3)]
    data = drawn(rows=rows)["data"]
    assert data["numbers"] == ["brightness", "detections"]
    assert "score_mean" not in data["reference"]
    assert "score_mean" not in data["current"]


def test_rows_that_lack_features_give_columns_of_one_length(program: Path) -> None:
    """Rows of an older server have no scores; pandas takes no columns of several lengths."""
    data = drawn(rows=[*ROWS, row(2, brightness=0.4)])["data"]
    assert {len(values) for values in data["current"].values()} == {2}


def test_without_evidently_it_says_how_to_install_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Evidently is not installed"):
        draw_report(None, PROFILE, ROWS)
    with pytest.raises(ConfigError, match="there is no Evidently at"):
        draw_report(tmp_path / "python", PROFILE, ROWS)


@pytest.mark.parametrize(
    ("body", "said"),
    [("raise SystemExit('no pandas')", "no pandas"), ("pass", "it said nothing"), ("1 / 0", "ZeroDivisionError")],
)
def test_a_failure_is_told_in_a_line(program: Path, body: str, said: str) -> None:
    program.write_text(body)
    with pytest.raises(HandfulError, match=f"Evidently failed .*{said}"):
        draw_report(Path(sys.executable), PROFILE, ROWS)


def test_evidently_is_looked_for_beside_handful(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    assert find_evidently(None) is None
    python = tmp_path / ".venv-evidently" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    python.parent.mkdir(parents=True)
    python.touch()
    assert find_evidently(None) == python
    assert find_evidently(tmp_path / "another") == tmp_path / "another", "a setting goes before"


def test_evidently_itself_draws_a_report() -> None:
    """Where it is installed: PYTHONPATH=scripts python3 -m installer evidently."""
    python = find_evidently(None)
    if python is None:
        pytest.skip("Evidently is not installed: PYTHONPATH=scripts python3 -m installer evidently")
    profile = Profile.of_rows(
        "detect", FEATURES, {"val": [dict(ROWS[i % 2].features) | {"brightness": i / 60} for i in range(60)]}
    )
    rows = [row(i, **(dict(ROWS[i % 2].features) | {"brightness": i / 90})) for i in range(59)]
    page = draw_report(python, profile, rows)
    assert page.lstrip()[:15].lower().startswith(b"<!doctype html") or b"<html" in page[:1000]
    assert b"brightness" in page
