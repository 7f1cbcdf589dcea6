"""What the monitor knows, and what it says of it over HTTP and to Prometheus."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from handful_core.profile import LogRow
from handful_monitor.api.app import create_app
from handful_monitor.api.state import ApiState
from handful_monitor.domain.columns import Column
from handful_monitor.domain.histogram import histogram
from handful_monitor.domain.verdict import Stream
from handful_monitor.prometheus import Prometheus
from handful_monitor.settings import MonitorSettings
from handful_monitor.standing import RunReference, Standing
from handful_monitor.standing_file import StandingFile
from handful_monitor.traffic import TrafficCounter, step_of
from support.captured import review_store

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
CAMERA = Stream("fingers", "3", "camera-1")
RUN = RunReference("7", "abc")
RUN_PAGE = "http://mlflow.example/#/experiments/7/runs/{}/artifacts"


def document(verdict: str = "changed", rows: int = 250, **features: float) -> dict[str, Any]:
    """`verdict.json` with features of which those of a ratio above 1 have changed."""
    return {
        "schema": 1, "model": CAMERA.model, "version": CAMERA.version, "source": CAMERA.source, "verdict": verdict,
        "window": {"from": None, "to": None, "rows": rows}, "notes": [], "segments": ["a.jsonl.gz"],
        "features": [
            {"name": name, "value": ratio, "threshold": 1.0, "changed": ratio > 1} for name, ratio in features.items()
        ],
    }  # fmt: skip


class Clock:
    """The time of day, as a test wants it."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def standing(clock: Clock) -> Standing:
    return Standing(7, clock)


@pytest.fixture
def traffic(clock: Clock) -> TrafficCounter:
    return TrafficCounter(7, clock)


@pytest.fixture
def http(standing: Standing, traffic: TrafficCounter) -> Iterator[TestClient]:
    app = create_app(
        ApiState(MonitorSettings(), standing, traffic, "http://mlflow.example", review_store(), started=NOW)
    )
    with TestClient(app) as client:
        yield client


def test_before_the_first_round_it_says_that_it_knows_nothing_yet(http: TestClient) -> None:
    assert http.get("/verdicts").json() == {
        "verdicts": [], "gathering": [], "last_round": None, "mlflow_up": None, "stale_since": None, "failure": "",
    }  # fmt: skip
    assert http.get("/health").json() == {"status": "ok", "mlflow_up": None, "last_round": None}


def test_the_newest_verdict_stands_whatever_order_they_come_in(http: TestClient, standing: Standing) -> None:
    standing.keep(CAMERA, NOW, document("changed", brightness=2.0, contrast=0.5), RUN)
    standing.keep(CAMERA, NOW - timedelta(hours=1), document("steady", 300, brightness=0.5), RUN)
    standing.keep(CAMERA, NOW, document("changed", brightness=2.0, contrast=0.5), RUN)
    (found,) = http.get("/verdicts").json()["verdicts"]
    assert (found["verdict"], found["at"]) == ("changed", "2026-11-29T12:00:00Z")
    assert found["links"] == {
        "verdict": f"{RUN_PAGE.format('abc')}/verdict.json?workflowType=machine_learning",
        "report": None,
    }
    assert "segments" not in found
    history = http.get("/verdicts/history", params={"model": "fingers", "version": "3", "source": "camera-1"}).json()
    assert history["history"] == [
        {"at": "2026-11-29T11:00:00Z", "verdict": "steady", "changed": [], "rows": 300},
        {"at": "2026-11-29T12:00:00Z", "verdict": "changed", "changed": ["brightness"], "rows": 250},
    ]


def test_a_report_is_linked(http: TestClient, standing: Standing) -> None:
    standing.keep_report(CAMERA, RunReference("7", "def"))
    standing.keep(CAMERA, NOW, document(), RUN)
    (found,) = http.get("/verdicts").json()["verdicts"]
    assert found["links"]["report"] == f"{RUN_PAGE.format('def')}/report.html?workflowType=machine_learning"


def test_what_is_older_than_the_days_is_forgotten(http: TestClient, standing: Standing, clock: Clock) -> None:
    standing.keep(CAMERA, NOW, document(), RUN)
    clock.now = NOW + timedelta(days=7, seconds=1)
    assert http.get("/verdicts").json()["verdicts"] == []
    assert http.get("/verdicts/history?model=fingers&version=3&source=camera-1").json()["history"] == []


def test_of_a_stream_without_a_verdict_the_rows_that_wait_are_told(http: TestClient, standing: Standing) -> None:
    standing.gather("fingers", {CAMERA: 120, Stream("fingers", "3", ""): 0})
    (found,) = http.get("/verdicts").json()["gathering"]
    assert found == {"model": "fingers", "version": "3", "source": "camera-1", "rows": 120, "needed": 250}


def test_while_mlflow_is_away_what_is_known_is_said_and_since_when(
    http: TestClient, standing: Standing, clock: Clock
) -> None:
    standing.keep(CAMERA, NOW, document(), RUN)
    standing.end_round()
    clock.now += timedelta(minutes=5)
    standing.end_round("MLflow does not answer", mlflow_up=False)
    told = http.get("/verdicts").json()
    assert len(told["verdicts"]) == 1
    assert (told["mlflow_up"], told["stale_since"]) == (False, "2026-11-29T12:00:00Z")
    assert told["failure"] == "MLflow does not answer"
    history = http.get("/verdicts/history?model=fingers&version=3&source=camera-1").json()
    assert (len(history["history"]), history["stale_since"]) == (1, "2026-11-29T12:00:00Z")
    standing.end_round()
    assert http.get("/verdicts").json()["stale_since"] is None


def test_what_stood_outlives_the_process_while_mlflow_is_away(
    http: TestClient, standing: Standing, clock: Clock, tmp_path: Path
) -> None:
    old = Standing(7, clock)
    old.keep(CAMERA, NOW - timedelta(hours=1), document("steady", brightness=0.5), RUN)
    old.keep(CAMERA, NOW, document("changed", brightness=2.0), RUN)
    old.keep_report(CAMERA, RUN)
    StandingFile(tmp_path / "new" / "file.json", old).write()
    StandingFile(tmp_path / "new" / "file.json", standing).restore()
    assert [(one.newest, one.history) for one in standing.known()] == [(one.newest, one.history) for one in old.known()]
    standing.end_round("MLflow does not answer", mlflow_up=False)
    assert _samples(http)["handful_drift_changed", ("fingers", "3", "camera-1")] == 1
    assert len(http.get("/verdicts").json()["verdicts"]) == 1
    standing.end_round()
    assert http.get("/verdicts").json()["verdicts"] == [], "MLflow no longer has it"


def test_mlflow_s_own_words_replace_what_was_restored(standing: Standing, clock: Clock, tmp_path: Path) -> None:
    old = Standing(7, clock)
    old.keep(CAMERA, NOW, document("changed", brightness=2.0), RUN)
    StandingFile(tmp_path / "file.json", old).write()
    StandingFile(tmp_path / "file.json", standing).restore()
    standing.keep(CAMERA, NOW - timedelta(hours=2), document("steady", brightness=0.5), RUN)
    standing.end_round()
    (found,) = standing.newest()
    assert found.document["verdict"] == "steady"


def test_a_newer_verdict_counts_more_than_what_was_restored_even_if_no_round_is_ok(
    standing: Standing, clock: Clock, tmp_path: Path
) -> None:
    old = Standing(7, clock)
    old.keep(CAMERA, NOW - timedelta(hours=1), document("changed", brightness=2.0), RUN)
    StandingFile(tmp_path / "file.json", old).write()
    StandingFile(tmp_path / "file.json", standing).restore()
    standing.keep(CAMERA, NOW - timedelta(hours=3), document("steady"), RUN)
    standing.end_round("another model cannot be read")
    assert [one.document["verdict"] for one in standing.newest()] == ["changed"], "MLflow is read from the oldest on"
    standing.keep(CAMERA, NOW, document("steady"), RUN)
    assert [one.document["verdict"] for one in standing.newest()] == ["steady"]


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"schema": 2}', b'{"schema": 1, "streams": [{}]}', b'{"schema": 1, "streams": 3}', b"\xff"],
)
def test_a_damaged_file_keeps_nobody_from_judging(standing: Standing, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file.json").write_bytes(content)
    StandingFile(tmp_path / "file.json", standing).restore()
    assert standing.newest() == []


def test_a_file_that_cannot_be_written_is_told(
    standing: Standing, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    StandingFile(tmp_path / "file" / "verdicts.json", standing).write()
    assert "cannot be written" in caplog.text


def test_mlflow_that_was_never_there_is_stale_since_the_start(http: TestClient, standing: Standing) -> None:
    standing.end_round("MLflow does not answer", mlflow_up=False)
    assert http.get("/verdicts").json()["stale_since"] == "2026-11-29T12:00:00Z"


def _samples(http: TestClient) -> dict[tuple[str, tuple[str, ...]], float]:
    families = text_string_to_metric_families(http.get("/metrics").text)
    order = ("model", "version", "source", "feature", "result")
    return {
        (s.name, tuple(s.labels[name] for name in order if name in s.labels)): s.value
        for family in families
        for s in family.samples
    }


def test_prometheus_gets_the_contract_s_metrics(http: TestClient, standing: Standing) -> None:
    standing.keep(CAMERA, NOW, document("changed", brightness=2.5), RUN)
    other = Stream("fingers", "3", "")
    standing.keep(other, NOW, document("steady", brightness=0.5), RUN)
    standing.end_round()
    standing.end_round("MLflow does not answer", mlflow_up=False)
    found = _samples(http)
    camera = ("fingers", "3", "camera-1")
    assert found["handful_drift_changed", camera] == 1
    assert found["handful_drift_changed", ("fingers", "3", "")] == 0
    assert found["handful_drift_rows", camera] == 250
    assert found["handful_drift_feature", (*camera, "brightness")] == 2.5
    assert found["handful_drift_verdict_timestamp_seconds", camera] == NOW.timestamp()
    assert found["handful_monitor_rounds_total", ("ok",)] == 1
    assert found["handful_monitor_rounds_total", ("failed",)] == 1
    assert found["handful_monitor_last_round_timestamp_seconds", ()] == NOW.timestamp()
    assert found["handful_mlflow_up", ()] == 0
    assert found["process_cpu_seconds_total", ()] > 0


def test_too_few_is_no_change_for_prometheus(http: TestClient, standing: Standing) -> None:
    standing.keep(CAMERA, NOW, document("too few", 3), RUN)
    assert _samples(http)["handful_drift_changed", ("fingers", "3", "camera-1")] == 0


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/requests?hours=0", 400, "the parameter hours is wrong: input should be greater than 0"),
        ("/requests?hours=nan", 400, "the parameter hours is wrong"),
        ("/requests?hours=week", 400, "the parameter hours is wrong"),
        ("/requests?hours=1e9", 400, "the parameter hours is wrong"),
        ("/verdicts/history", 400, "the parameter model is wrong: field required"),
        ("/verdicts/history?model=fingers", 400, "the parameter version is wrong"),
        ("/nothing", 404, "there is nothing at /nothing"),
    ],
)
def test_what_cannot_be_answered_is_a_problem(http: TestClient, path: str, status: int, words: str) -> None:
    answer = http.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert words in answer.json()["detail"]


def test_nothing_can_be_changed(http: TestClient) -> None:
    paths = http.get("/openapi.json").json()["paths"]
    reviews = {path for path in paths if path.startswith("/review/")}  # tests/unit/monitor/test_review.py
    assert set(paths) - reviews == {"/health", "/metrics", "/verdicts", "/verdicts/history", "/requests"}
    assert {method for path in set(paths) - reviews for method in paths[path]} == {"get"}
    assert http.post("/verdicts").status_code == 405
    assert http.get("/verdicts").headers["content-security-policy"].startswith("default-src 'none'")


def row(at: datetime, weight: float = 1.0, model: str = "fingers") -> LogRow:
    return LogRow(uuid.uuid4().hex, at, model, "3", "0", "", weight, {})


def test_requests_are_counted_from_the_log_by_what_rows_stand_for(http: TestClient, traffic: TrafficCounter) -> None:
    begin = NOW - timedelta(hours=1)
    traffic.count([row(begin + timedelta(seconds=s), 60) for s in range(0, 1200, 60)])
    traffic.count([row(begin, 600, "leaves")])
    answer = http.get("/requests", params={"model": "fingers", "hours": 1}).json()
    assert answer["from"] == "log"
    rates = [point["requests_per_second"] for point in answer["points"]]
    assert rates == [1.0] * 4 + [0.0] * 6, "what is younger than a segment takes is not shown as a lull"
    assert {point["p95_seconds"] for point in answer["points"]} == {None}
    assert answer["points"][0]["at"] == "2026-11-29T11:05:00Z"
    both = http.get("/requests", params={"hours": 1}).json()["points"]
    assert both[0]["requests_per_second"] == 3.0
    assert http.get("/requests", params={"model": "nobody's"}).json() == {"from": "log", "points": []}


@given(st.floats(0.01, 366 * 24))
def test_a_line_has_no_more_points_than_can_be_seen(hours: float) -> None:
    step = step_of(hours)
    assert step % 60 == 0
    assert hours * 3600 / step <= 121


Handler = Callable[[httpx.Request], httpx.Response]


def ask(handler: Handler, traffic: TrafficCounter, standing: Standing) -> Any:
    prometheus = Prometheus("http://prometheus:9090/", httpx.MockTransport(handler))
    state = ApiState(MonitorSettings(), standing, traffic, "http://mlflow.example", review_store(), prometheus)
    with TestClient(create_app(state)) as client:
        return client.get("/requests", params={"model": 'a "quoted" one', "hours": 24}).json()


def test_prometheus_counts_where_it_is_there(standing: Standing, traffic: TrafficCounter) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(query := request.url.params["query"])
        values = [[1000, "NaN"], [1720, "0.25"]] if "quantile" in query else [[1000, "2"], [1720, "4.5"]]
        return httpx.Response(200, json={"status": "success", "data": {"result": [{"metric": {}, "values": values}]}})

    found = ask(answer, traffic, standing)
    assert found["from"] == "prometheus"
    assert [(p["requests_per_second"], p["p95_seconds"]) for p in found["points"]] == [(2, None), (4.5, 0.25)]
    assert asked[0] == 'sum(rate(handful_predictions_total{model="a \\"quoted\\" one"}[720s]))'
    assert 'model="a \\"quoted\\" one",stage="total"' in asked[1]


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(502, text="bad gateway"),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json={"status": "error"}),
        httpx.Response(200, json=["no", "object"]),
        httpx.Response(200, json={"data": {"result": [{"values": [["x"]]}]}}),
        httpx.Response(200, json={"data": {"result": []}}),
    ],
)
def test_where_prometheus_knows_nothing_the_log_counts(
    standing: Standing, traffic: TrafficCounter, answer: httpx.Response
) -> None:
    assert ask(lambda _: answer, traffic, standing) == {"from": "log", "points": []}


def test_where_prometheus_is_away_the_log_counts(standing: Standing, traffic: TrafficCounter) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    assert ask(refuse, traffic, standing)["from"] == "log"


NUMBERS = st.lists(st.one_of(st.floats(-1e6, 1e6), st.none()), min_size=1, max_size=60)


@given(NUMBERS, NUMBERS, st.sampled_from(["continuous", "count"]))
def test_a_histogram_holds_every_row_once(then: list[float | None], now: list[float | None], kind: Any) -> None:
    if kind == "count":
        then, now = ([None if v is None else abs(int(v)) for v in values] for values in (then, now))
    found = histogram(Column.of(kind, then), Column.of(kind, now))
    if all(v is None for v in then) or all(v is None for v in now):
        assert found is None
        return
    assert found is not None
    assert len(found["edges"]) == len(found["then"]) + 1 == len(found["now"]) + 1 <= 20
    assert found["edges"] == sorted(found["edges"])
    for parts in (found["then"], found["now"]):
        assert sum(parts) == pytest.approx(1, abs=2e-3)


def test_a_histogram_shows_a_shift_and_an_outlier_does_not_flatten_it() -> None:
    random = np.random.default_rng(0)
    then = [*random.normal(0.5, 0.1, 999).tolist(), 1e6]
    now = random.normal(0.3, 0.1, 500).tolist()
    found = histogram(Column.of("continuous", then), Column.of("continuous", now))
    assert found is not None
    assert found["edges"][-1] < 1
    assert np.argmax(found["now"]) < np.argmax(found["then"])


def test_words_have_no_histogram() -> None:
    column = Column.of("category", ["JPEG", "PNG"])
    assert histogram(column, column) is None
