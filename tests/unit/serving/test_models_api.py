from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fakes.packages import CLASSES, build_package, damage, encode, picture
from fakes.registry import FakeMlflow
from handful_serving.domain import model_status
from support.serving_app import make_app, running

pytestmark = pytest.mark.anyio
TAGS = {"metrics.mAP50": "0.75", "metrics.broken": "?", "metrics.odd": "nan", "architecture": "yolo11n", "dataset": "d"}


@pytest.fixture
def mlflow(tmp_path: Path) -> FakeMlflow:
    fake = FakeMlflow()
    fake.register(build_package(tmp_path / "one"), tags=TAGS)
    fake.register(build_package(tmp_path / "two", metrics={"mAP50": 0.5, "per_class": {"0": 1}}), aliases=["champion"])
    fake.register(build_package(tmp_path / "leaves", "probabilities", name="leaves"), "leaves")
    return fake


@pytest.fixture
async def client(tmp_path: Path, mlflow: FakeMlflow) -> AsyncIterator[httpx.AsyncClient]:
    async with running(make_app(tmp_path, mlflow)) as asking:
        yield asking


async def body(client: httpx.AsyncClient, path: str) -> Any:
    response = await client.get(path)
    assert response.status_code == 200, response.text
    return response.json()


async def until(client: httpx.AsyncClient, path: str, holds: Any) -> Any:
    async with asyncio.timeout(10):
        while not holds(found := await body(client, path)):
            await asyncio.sleep(0.01)
    return found


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_all_models_with_all_versions(client: httpx.AsyncClient, prefix: str) -> None:
    found = await body(client, f"{prefix}/models")
    assert found["default"] == "fingers"
    assert [model["name"] for model in found["models"]] == ["fingers", "leaves"]
    fingers, leaves = found["models"]
    newest, oldest = fingers.pop("versions")
    assert fingers == {"name": "fingers", "task": "detect", "default": True, "aliases": {"champion": 2}}
    assert newest.pop("created") < "2100"
    assert newest == {
        "version": 2,
        "aliases": ["champion"],
        "run_id": f"{2:032x}",
        "loaded": True,
        "metrics": {"mAP50": 0.5},
        "architecture": "tiny",
        "dataset": "squares",
        "backend": "onnxruntime",
        "precision": "fp32",
        "state": "served",
        "reason": None,
        "gate": None,
    }
    told = ("version", "aliases", "loaded", "state", "metrics", "architecture", "dataset", "backend")
    assert {key: oldest[key] for key in told} == {
        "version": 1,
        "aliases": [],
        "loaded": False,
        "state": "available",
        "metrics": {"mAP50": 0.75},
        "architecture": "yolo11n",
        "dataset": "d",
        "backend": None,
    }
    assert (leaves["task"], leaves["default"], leaves["aliases"]) == (None, False, {})
    assert await body(client, f"{prefix}/models/leaves") == leaves


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"gate.decision": "kept", "gate.reason": "not better"}, {"decision": "kept", "reason": "not better"}),
        ({"gate.decision": "undecided"}, {"decision": "undecided", "reason": ""}),
        ({"gate.decision": "somebody's own word", "gate.reason": "x"}, None),
        ({"gate.reason": "x", "gate": "passed"}, None),
    ],
)
async def test_what_the_gate_decided_is_told(
    tmp_path: Path, client: httpx.AsyncClient, mlflow: FakeMlflow, tags: dict[str, str], expected: object
) -> None:
    number = mlflow.register(build_package(tmp_path / "third"), tags=tags)
    versions = (await body(client, "/models/fingers"))["versions"]
    assert {version["version"]: version["gate"] for version in versions}[number] == expected


async def test_a_version_that_was_asked_for_is_loaded(client: httpx.AsyncClient) -> None:
    await body(client, "/classes?version=1")
    states = {v["version"]: (v["state"], v["loaded"]) for v in (await body(client, "/models/fingers"))["versions"]}
    assert states == {1: ("loaded", True), 2: ("served", True)}


async def test_a_refused_champion_is_shown_beside_the_one_that_serves(
    client: httpx.AsyncClient, mlflow: FakeMlflow, tmp_path: Path
) -> None:
    package = build_package(tmp_path / "bad")
    damage(package.root, "hash")
    mlflow.register(package, aliases=["champion"])
    found = await until(client, "/models/fingers", lambda m: m["versions"][0]["state"] == "refused")
    refused, served, _ = found["versions"]
    assert found["aliases"] == {"champion": 3}
    assert (refused["version"], refused["aliases"]) == (3, ["champion"])
    assert "model.onnx of the model package" in refused["reason"]
    assert (served["version"], served["state"], served["reason"]) == (2, "served", None)
    assert (await client.get("/health/ready")).json()["models"] == [{"name": "fingers", "version": 2}]


async def test_an_unknown_model(client: httpx.AsyncClient) -> None:
    response = await client.get("/models/nobody")
    assert response.status_code == 404
    assert response.json()["detail"] == "there is no model nobody: there is fingers, leaves"


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_the_run_of_a_version(client: httpx.AsyncClient, mlflow: FakeMlflow, prefix: str) -> None:
    run_id = f"{1:032x}"
    mlflow.runs[run_id] = {"train/box_loss": [2.0, 0.9], "test/mAP50": [0.75], "odd": [0.5, math.nan]}
    found = await body(client, f"{prefix}/models/fingers/versions/1/run")
    assert found.pop("started") > "2000"
    page = found.pop("page")
    assert page.startswith("http")
    assert page.endswith(f"/#/experiments/1/runs/{run_id}?workflowType=machine_learning")
    assert found["curves"]["train/box_loss"] == [[0, 2.0], [1, 0.9]]
    assert "test/mAP50" not in found["curves"]
    assert found["metrics"] == {"train/box_loss": 0.9, "test/mAP50": 0.75}
    assert (found["run_id"], found["experiment_id"], found["name"]) == (run_id, "1", "drawn")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/models/fingers/versions/9/run", 404),
        ("/models/nobody/versions/1/run", 404),
        ("/models/fingers/versions/none/run", 400),
        # The version is there, and the registry has forgotten its run.
        ("/models/fingers/versions/2/run", 404),
    ],
)
async def test_a_run_that_is_not_known(client: httpx.AsyncClient, path: str, status: int) -> None:
    response = await client.get(path)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"


async def test_a_run_is_not_made_up_while_mlflow_is_away(client: httpx.AsyncClient, mlflow: FakeMlflow) -> None:
    await body(client, "/models")
    mlflow.away = True
    assert (await client.get("/models/fingers/versions/1/run")).status_code == 503


async def test_without_mlflow_what_is_known_is_told(client: httpx.AsyncClient, mlflow: FakeMlflow) -> None:
    before = await body(client, "/models")
    mlflow.away = True
    await asyncio.sleep(0.1)
    assert await body(client, "/models") == before


async def test_after_a_start_without_mlflow_the_cache_is_told(tmp_path: Path, mlflow: FakeMlflow) -> None:
    async with running(make_app(tmp_path, mlflow)) as client:
        await body(client, "/classes?version=1")
        before = (await body(client, "/models/fingers"))["versions"]
    mlflow.away = True
    async with running(make_app(tmp_path, mlflow)) as client:
        found = await body(client, "/models")
    assert found["default"] == "fingers"
    (fingers,) = found["models"]
    assert fingers["aliases"] == {"champion": 2}
    assert fingers["versions"][0] == before[0]
    assert fingers["versions"][1] == before[1] | {
        "loaded": False,
        "state": "available",
        "backend": None,
        "precision": None,
    }


async def test_a_slow_mlflow_is_not_waited_for(
    client: httpx.AsyncClient, mlflow: FakeMlflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await body(client, "/models")
    monkeypatch.setattr(model_status, "_REGISTRY_SECONDS", 0.05)
    mlflow.delay = 1
    async with asyncio.timeout(0.8):
        assert await body(client, "/models") == before


async def test_many_who_ask_cause_one_question(client: httpx.AsyncClient, mlflow: FakeMlflow) -> None:
    mlflow.delay = 0.05
    mlflow.requests.clear()
    await asyncio.gather(*(body(client, "/models/leaves") for _ in range(30)))
    assert sum(path.endswith("model-versions/search") for path in mlflow.requests) <= 2


async def test_classes(client: httpx.AsyncClient) -> None:
    assert await body(client, "/classes") == {
        "model": "fingers",
        "version": 2,
        "classes": [
            {"id": i, "name": name, "count": None if name == "unknown" else int(name)} for i, name in enumerate(CLASSES)
        ],
        "thresholds": {"confidence": 0.25, "iou": 0.7},
    }
    leaves = await body(client, "/api/classes?model=leaves&version=1")
    assert (leaves["model"], leaves["version"]) == ("leaves", 1)
    assert leaves["classes"][5] == {"id": 5, "name": "5", "count": None}


@pytest.mark.parametrize(
    ("query", "status"),
    [("model=nobody", 404), ("version=9", 404), ("alias=best", 404), ("model=leaves", 404), ("version=x", 400),
     ("version=1&alias=champion", 400), ("modle=fingers", 400), ("confidence=0.5", 400)],
)  # fmt: skip
async def test_classes_of_what_is_not_there(client: httpx.AsyncClient, query: str, status: int) -> None:
    response = await client.get(f"/classes?{query}")
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"


async def test_health(client: httpx.AsyncClient) -> None:
    assert await body(client, "/health/live") == {"status": "live"}
    assert await body(client, "/health/ready") == {
        "status": "ready",
        "models": [{"name": "fingers", "version": 2}],
        "capture": "off",
    }


async def test_not_ready_says_which_command_makes_it_so(tmp_path: Path) -> None:
    async with running(make_app(tmp_path, FakeMlflow()), ready=False) as client:
        async with asyncio.timeout(10):
            while "handful import models/starter.zip" not in (response := await client.get("/health/ready")).text:
                assert response.status_code == 503
                await asyncio.sleep(0.01)
        assert response.headers["content-type"] == "application/problem+json"
        assert await body(client, "/health/live") == {"status": "live"}
        assert await body(client, "/models") == {"default": None, "models": [], "capture": "off"}


async def test_metrics(client: httpx.AsyncClient, mlflow: FakeMlflow, tmp_path: Path) -> None:
    await client.post("/predict", content=encode(picture({})))
    await client.post("/api/predict?confidence=7", content=b"")
    for path in ("/surprise/1", "/surprise/2", "/models/nobody", "/models/fingers"):
        await client.get(path)
    await client.request("BREW", "/predict")
    bad = build_package(tmp_path / "bad")
    damage(bad.root, "golden")
    mlflow.register(bad, aliases=["champion"])
    await until(client, "/models/fingers", lambda m: m["versions"][0]["state"] == "refused")
    response = await client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    lines = response.text.splitlines()
    for line in (
        'handful_requests_total{method="POST",route="/predict",status="200"} 1.0',
        'handful_requests_total{method="POST",route="/predict",status="400"} 1.0',
        'handful_requests_total{method="GET",route="/models/{name}",status="404"} 1.0',
        'handful_requests_total{method="GET",route="other",status="404"} 2.0',
        'handful_requests_total{method="other",route="/predict",status="405"} 1.0',
        'handful_predictions_total{model="fingers",version="2"} 1.0',
        'handful_stage_seconds_count{model="fingers",stage="inference"} 1.0',
        'handful_model_reloads_total{model="fingers",outcome="ok",reason=""} 1.0',
        'handful_model_reloads_total{model="fingers",outcome="refused",reason="golden"} 1.0',
        "handful_registry_reachable 1.0",
        'handful_champion_pending{model="fingers",reason="golden",version="3"} 1.0',
        'handful_model_quality{metric="mAP50",model="fingers",version="2"} 0.5',
        "handful_queue_capacity 32.0",
    ):
        assert line in lines
    info = [line for line in lines if line.startswith("handful_model_info{")]
    assert len(info) == 1
    assert 'model="fingers"' in info[0]
    assert 'state="served"' in info[0]
    assert 'backend="onnxruntime"' in info[0]
    assert 'version="2"' in info[0]
    assert "surprise" not in response.text
    assert "BREW" not in response.text


async def test_a_registry_that_is_away_is_visible_in_the_metrics(client: httpx.AsyncClient, mlflow: FakeMlflow) -> None:
    mlflow.away = True
    async with asyncio.timeout(10):
        while "handful_registry_reachable 0.0" not in (await client.get("/metrics")).text:
            await asyncio.sleep(0.01)


async def test_two_applications_count_for_themselves(tmp_path: Path, mlflow: FakeMlflow) -> None:
    async with running(make_app(tmp_path / "a", mlflow)) as one, running(make_app(tmp_path / "b", mlflow)) as two:
        await one.get("/classes")
        assert 'route="/classes"' in (await one.get("/metrics")).text
        assert 'route="/classes"' not in (await two.get("/metrics")).text
