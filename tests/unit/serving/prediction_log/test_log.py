"""The prediction log in the server: answers become rows, whatever is away or broken."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from fakes.packages import build_package, encode, filled, picture
from fakes.registry import FakeMlflow
from handful_core.profile import LogRow, features_of_model, read_rows
from handful_core.profile.answer import at_own_thresholds
from handful_core.vision.detections import Detections
from handful_core.vision.prediction import Prediction
from support.log_rows import uploaded
from support.serving_app import make_app, running
from support.waiting import until_async

HAND = encode(picture({(2, 3): "5"}))


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
    await until_async(lambda: len(uploaded(mlflow)) >= count)
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
        await until_async(lambda: sum(len(list(read_rows(path))) for path in folder.glob("*.gz")) == 3)
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
        await until_async(folder.is_dir)
        (folder / "fingers").write_text("in the way")
        for _ in range(2):
            response = await client.post("/predict", content=HAND, headers={"Content-Type": "image/png"})
            assert response.status_code == 200
        await until_async(lambda: "leaves rows out" in caplog.text)

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
            await until_async(lambda: "rows of the prediction log are lost" in caplog.text)
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
