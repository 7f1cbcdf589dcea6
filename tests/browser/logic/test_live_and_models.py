"""What Live, Models, Health and the history compute."""

from __future__ import annotations

import struct
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

METRICS = """# HELP x y
# TYPE handful_rejects_total counter
handful_rejects_total{reason="queue_full"} 2.0
handful_rejects_total{reason="a \\"quoted\\" one"} 3.0
handful_stage_seconds_bucket{model="m",stage="total",le="0.1"} 8.0
handful_stage_seconds_bucket{model="m",stage="total",le="0.5"} 9.0
handful_stage_seconds_bucket{model="m",stage="total",le="+Inf"} 10.0
handful_stage_seconds_count{model="m",stage="total"} 10.0
handful_stage_seconds_sum{model="m",stage="total"} 2.0
"""


def test_a_frame_is_number_time_and_jpeg_big_endian(script) -> None:
    message = script("frames", "(m) => [...m.encodeFrame(7, 12.5, new Uint8Array([1, 2]).buffer)]")
    assert bytes(message) == struct.pack(">Id", 7, 12.5) + b"\x01\x02"


@pytest.mark.parametrize(
    ("size", "expected"), [((1280, 720), (640, 360)), ((300, 200), (300, 200)), ((2000, 1), (640, 1))]
)
def test_frames_are_made_smaller_but_never_larger(run, size, expected) -> None:
    found = run("frames", "downscaledSize", {"width": size[0], "height": size[1]}, 640)
    assert (found["width"], found["height"]) == expected


def test_the_pace_is_that_of_the_last_seconds(run) -> None:
    answers: list[dict[str, float]] = []
    for place in range(50):
        answers = run("frames", "withinWindow", answers, {"at": place * 100, "latency": 30 if place % 3 else 90})
    assert run("frames", "throughput", answers) == {"rate": pytest.approx(10), "latency": 30}
    assert run("frames", "throughput", answers[:1]) == {"rate": None, "latency": None}


def test_measurements_are_read_from_prometheus_text(script) -> None:
    rejects = script(
        "prometheus", "(m, x) => m.sumByLabel(m.parseMetrics(x), 'handful_rejects_total', 'reason')", METRICS
    )
    assert rejects == [['a "quoted" one', 3], ["queue_full", 2]]


def test_a_histogram_tells_mean_and_the_edges_of_its_buckets(script) -> None:
    found = script(
        "prometheus",
        "(m, x) => m.histogramStats(m.parseMetrics(x), 'handful_stage_seconds', { stage: 'total' })",
        METRICS,
    )
    assert (found["count"], found["mean"], found["median"]) == (10, 200, 100)
    assert found["slow"] == float("inf")
    assert (
        script(
            "prometheus", "(m, x) => m.histogramStats(m.parseMetrics(x), 'handful_stage_seconds', {stage: 'no'})", ""
        )
        is None
    )


def test_a_curve_fills_its_drawing_and_a_flat_one_lies_in_the_middle(run) -> None:
    size = {"width": 100, "height": 50}
    drawn = run("curves", "plot", [[0, 1.0], [1, 3.0], [2, 2.0]], size)
    assert drawn["line"] == "0,50 50,0 100,25"
    assert [tick["value"] for tick in drawn["y"]] == [1, 1.5, 2, 2.5, 3]
    assert drawn["x"] == [{"at": 0, "value": 0}, {"at": 50, "value": 1}, {"at": 100, "value": 2}]
    flat = run("curves", "plot", [[0, 1.0], [4, 1.0]], size)
    assert (flat["line"], flat["y"]) == ("0,25 100,25", [{"at": 25, "value": 1}])


def test_a_value_that_is_no_number_is_left_out_of_a_curve(run) -> None:
    size = {"width": 100, "height": 50}
    assert run("curves", "plot", [[1, 1.0], [2, None], [3, 2.0]], size)["line"] == "0,50 100,0"
    assert run("curves", "plot", [[1, None]], size) is None
    assert run("curves", "plot", [], size) is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e6), st.integers(0, 300), st.integers(1, 1000))
def test_ticks_are_round_enclose_the_values_and_lie_on_the_axis(run, low, span, first, steps) -> None:
    high = low + span
    drawn = run("curves", "plot", [[first, low], [first + steps, high]], {"width": 200, "height": 100})
    values, epochs = ([tick["value"] for tick in drawn[axis]] for axis in ("y", "x"))
    size = values[1] - values[0]
    assert values[0] <= low + 1e-3 * size
    assert values[-1] >= high - 1e-3 * size
    assert 3 <= len(values) <= 6
    assert f"{size:.3e}"[:5] in {"1.000", "2.000", "5.000"}
    assert [tick["at"] for tick in drawn["y"]] == pytest.approx(
        [100 * (values[-1] - value) / (values[-1] - values[0]) for value in values], abs=0.06
    )
    assert epochs == [int(epoch) for epoch in epochs]
    assert first <= epochs[0] <= epochs[-1] <= first + steps
    assert 1 <= len(epochs) <= 5


@pytest.mark.parametrize(
    ("value", "label"),
    [(0, "0"), (0.25, "0.25"), (-0.5, "-0.5"), (0.0002, "2e-4"), (0.00015, "1.5e-4"), (1500, "1,500"), (2e6, "2e6")],
)
def test_a_tick_is_short(run, value, label) -> None:
    assert run("format", "tick", value) == label


def test_versions_are_compared_by_the_metric_that_any_of_them_has(run) -> None:
    runs = [
        {"version": 2, "metrics": {"test/class/5/mAP50": 0.9, "test/class/a/b/mAP50": 0.5, "test/mAP50": 1}},
        {"version": 1, "metrics": {"test/class/5/mAP50": 0.4}},
        {"version": 3, "metrics": {}},
    ]
    found = run("curves", "compareClasses", runs)
    assert found == {"metric": "mAP50", "rows": [["5", 0.9, 0.4], ["a/b", 0.5, None]], "compared": [2, 1]}
    assert run("curves", "compareClasses", runs[2:])["metric"] is None


def test_a_visit_keeps_the_newest_and_says_what_falls_out(script) -> None:
    code = """(m) => {
        const pictures = [...Array(m.MAX_ENTRIES + 1).keys()].map((name) => ({ name }));
        let history = [];
        let gone = [];
        for (const picture of pictures) ({ history, gone } = m.addToHistory(history, { picture }));
        const again = m.addToHistory(history, { picture: pictures[5], answer: 1 });
        const names = gone.map((one) => one.picture.name);
        return [history[0].picture.name, history.length, names, again.history.length, again.gone];
    }"""
    assert script("history", code) == [24, 24, [0], 24, []]


@pytest.mark.parametrize("name", ["a.png", "it's.png", 'quote".png', "$(touch gone).png", "back\\slash.png"])
def test_the_command_names_the_file_whatever_it_is_called(run, tmp_path, name) -> None:
    given = {
        "address": "http://host/x/",
        "name": name,
        "model": "fin gers",
        "version": 3,
        "confidence": 0.25,
        "keyed": True,
    }
    command = run("curl", "curlCommand", given)
    printed = subprocess.run(
        ["sh", "-c", command.replace("curl", "printf '%s\\n'", 1)],
        cwd=tmp_path,
        env={"HANDFUL_API_KEY": "k", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    assert printed.stdout.splitlines() == [
        "-H",
        "X-API-Key: k",
        "-F",
        f'image=@"{escaped}"',
        "http://host/x/api/predict?model=fin+gers&version=3&confidence=0.25",
    ]
    assert list(tmp_path.iterdir()) == []


def test_curves_of_quality_come_before_losses_and_these_before_the_rest(run) -> None:
    names = ["lr/pg0", "train/box_loss", "val/recall", "val/mAP50"]
    ordered = run("curves", "sortCurves", {name: [] for name in names})
    assert [name for name, _ in ordered] == ["val/mAP50", "val/recall", "train/box_loss", "lr/pg0"]
