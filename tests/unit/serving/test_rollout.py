from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fakes.packages import build_package, encode, picture
from fakes.registry import FakeMlflow
from handful_core.registry import Registry
from handful_core.vision.decode import ImageError, Pixels
from handful_core.vision.drawing import draw
from handful_core.vision.prediction import Prediction
from handful_faces.privacy import NoBlur
from handful_serving.concurrency.admission import AdmissionQueue
from handful_serving.domain.model_ref import ModelRef, ModelVersion
from handful_serving.domain.prediction import PredictOptions
from handful_serving.domain.predictor import Pipeline, Predictor
from handful_serving.domain.rollout import Rollout, TrafficSplit
from support.serving_app import make_app, running
from support.serving_models import ServingModels
from support.waiting import until_async

pytestmark = pytest.mark.anyio
HAND = encode(picture({(2, 3): "5"}))


async def test_a_canary_answers_its_share_and_the_same_callers(serving: ServingModels) -> None:
    serving.register("champion")
    serving.register("challenger", sharpness=8.0)
    manager = serving.manager()
    await manager.watcher.poll()
    predictor = serving.predictor(manager, shares=TrafficSplit(canary=0.3))
    await manager.find(ModelRef(alias="challenger"))
    callers = [f"key {number}" for number in range(200)]
    first = {
        caller: (await predictor.predict(HAND, ModelRef(), caller=caller)).model_version.version for caller in callers
    }
    assert 35 < list(first.values()).count(2) < 85
    for caller in callers[:20]:
        assert (await predictor.predict(HAND, ModelRef(), caller=caller)).model_version.version == first[caller]
        assert (await predictor.predict(HAND, ModelRef(version=1), caller=caller)).model_version.version == 1
        assert (await predictor.predict(HAND, ModelRef(alias="champion"), caller=caller)).model_version.version == 1
    predictor.close()


async def test_a_caller_gets_the_same_version_from_every_replica(serving: ServingModels) -> None:
    serving.register("champion")
    serving.register("challenger", sharpness=8.0)
    callers = [f"key {number}" for number in range(60)]
    answered: list[list[int]] = []
    for _ in range(2):
        manager = serving.manager()
        await manager.watcher.poll()
        predictor = serving.predictor(manager, shares=TrafficSplit(canary=0.3))
        await manager.find(ModelRef(alias="challenger"))
        answers = [await predictor.predict(HAND, ModelRef(), caller=caller) for caller in callers]
        answered.append([answer.model_version.version for answer in answers])
        predictor.close()
    assert answered[0] == answered[1]
    assert set(answered[0]) == {1, 2}


async def test_nobody_waits_for_a_challenger_that_is_being_loaded(serving: ServingModels) -> None:
    serving.register("champion")
    serving.register("challenger", sharpness=8.0)
    manager = serving.manager()
    await manager.watcher.poll()
    predictor = serving.predictor(manager, shares=TrafficSplit(canary=1))
    assert (await predictor.predict(HAND, ModelRef())).model_version.version == 1
    await until_async(lambda: manager.store.get(ModelVersion("fingers", 2)))
    assert (await predictor.predict(HAND, ModelRef())).model_version.version == 2
    predictor.close()


async def test_a_bad_challenger_costs_nobody_an_answer(serving: ServingModels) -> None:
    from fakes.packages import damage

    serving.register("champion")
    bad = serving.package()
    damage(bad.root, "golden")
    serving.mlflow.register(bad, aliases=["challenger"])
    manager = serving.manager()
    await manager.watcher.poll()
    predictor = serving.predictor(manager, shares=TrafficSplit(canary=1, shadow=1))
    assert (await predictor.predict(HAND, ModelRef())).model_version.version == 1
    await until_async(lambda: manager.load_failures.get(ModelVersion("fingers", 2)))
    assert (await predictor.predict(HAND, ModelRef())).model_version.version == 1
    predictor.close()


async def test_a_shadow_is_compared_and_never_returned(serving: ServingModels) -> None:
    serving.register("champion")
    serving.register("challenger", sharpness=3.0)  # Too dull to be sure of a square at 0.9.
    manager = serving.manager()
    await manager.watcher.poll()
    predictor = serving.predictor(manager, shares=TrafficSplit(shadow=1))
    await manager.find(ModelRef(alias="challenger"))
    assert (await predictor.predict(HAND, ModelRef())).model_version.version == 1
    await until_async(lambda: serving.observer.comparisons)
    assert (await predictor.predict(HAND, ModelRef(), PredictOptions(confidence=0.9))).model_version.version == 1
    await until_async(lambda: len(serving.observer.comparisons) == 2)
    assert serving.observer.comparisons == [("fingers", "agree"), ("fingers", "differ")]
    assert [key.version for key in serving.observer.predictions] == [1, 1]
    await predictor.predict(HAND, ModelRef(version=1))
    await asyncio.sleep(0.05)
    assert len(serving.observer.comparisons) == 2, "a version that was asked for by name has no shadow"
    predictor.close()


async def test_shares_are_set_and_told_over_http(tmp_path: Path) -> None:
    mlflow = FakeMlflow()
    mlflow.register(build_package(tmp_path / "one"), aliases=["champion"])
    mlflow.register(build_package(tmp_path / "two", sharpness=8.0), aliases=["challenger"])
    async with running(make_app(tmp_path, mlflow)) as client:
        set_to = await client.put("/models/fingers/rollout", json={"canary_share": 1})
        assert set_to.json()["canary_share"] == 1
        assert set_to.json()["shadow_share"] == 0
        await client.post(
            "/predict", params={"alias": "challenger"}, content=HAND, headers={"Content-Type": "image/png"}
        )
        answer = await client.post("/predict", content=HAND, headers={"Content-Type": "image/png"})
        assert answer.json()["version"] == 2
        assert (await client.get("/rollouts")).json() == {
            "rollouts": [
                {
                    "model": "fingers", "champion": 1, "challenger": 2, "loaded": True,
                    "canary_share": 1.0, "shadow_share": 0.0,
                    "answered": {"champion": 0, "challenger": 1}, "compared": {},
                }
            ]
        }  # fmt: skip
        for wrong in ({"canary_share": 2}, {"shadow_share": -1}, {"canary_share": "x"}):
            assert (await client.put("/models/fingers/rollout", json=wrong)).status_code == 400
        misspelt = await client.put("/models/fingers/rollout", json={"canary": 0.5})
        assert "there is no field canary: did you mean canary_share?" in misspelt.json()["detail"]
        rollback = await client.post("/models/fingers/rollback", json={"version": 1})
        assert (rollback.status_code, "there is no field version" in rollback.json()["detail"]) == (400, True)
        assert (await client.put("/models/nobody/rollout", json={})).status_code == 404


async def test_promote_and_rollback_over_http(tmp_path: Path) -> None:
    from fakes.packages import damage

    mlflow = FakeMlflow()
    mlflow.register(build_package(tmp_path / "one"), aliases=["champion"])
    mlflow.register(build_package(tmp_path / "two", sharpness=8.0))
    bad = build_package(tmp_path / "bad", sharpness=4.0)
    damage(bad.root, "golden")
    mlflow.register(bad)
    async with running(make_app(tmp_path, mlflow, poll_seconds=1000)) as client:
        done = await client.post("/models/fingers/promote", json={"version": 2})
        assert done.json() == {"model": "fingers", "champion": 2, "previous": 1}
        refused = await client.post("/models/fingers/promote", json={"version": 3})
        assert (refused.status_code, refused.json()["type"]) == (503, "urn:handful:problem:model-refused")
        unknown = await client.post("/models/fingers/promote", json={"version": 9})
        assert unknown.status_code == 404
        for wrong in (b"{}", b"[]", b"no", b'{"version": "x"}'):
            headers = {"Content-Type": "application/json"}
            assert (await client.post("/models/fingers/promote", content=wrong, headers=headers)).status_code == 400
        back = await client.post("/models/fingers/rollback", json={})
        assert back.json() == {"model": "fingers", "champion": 1, "previous": 2}
        again = await client.post("/models/fingers/rollback", json={})
        assert (again.status_code, again.json()["type"]) == (409, "urn:handful:problem:refused")
        assert "handful promote fingers 2" in again.json()["detail"]
        mlflow.away = True
        assert (await client.post("/models/fingers/rollback", json={})).status_code == 503


async def test_a_shadow_sees_no_boxes_that_were_drawn(serving: ServingModels) -> None:
    serving.register("champion")
    serving.register("challenger", sharpness=8.0)
    manager = serving.manager()
    await manager.watcher.poll()
    predictor = serving.predictor(manager, shares=TrafficSplit(shadow=1))
    await manager.find(ModelRef(alias="challenger"))
    seen: list[float] = []
    challenger = manager.store.get(ModelVersion("fingers", 2))
    assert challenger is not None
    model = challenger.model

    class Seeing:
        """The challenger, which notes how bright the pictures are that it sees."""

        def __getattr__(self, name: str) -> object:
            return getattr(model, name)

        def predict(self, pixels: Pixels, *thresholds: float | None, explain: bool = False) -> Prediction:
            seen.append(float(pixels.mean()))
            return model.predict(pixels, *thresholds, explain=explain)

    challenger.model = Seeing()  # type: ignore[assignment]
    await predictor.predict(HAND, ModelRef())
    await until_async(lambda: serving.observer.comparisons)
    await predictor.predict(HAND, ModelRef(), PredictOptions(drawing="annotated"))
    await until_async(lambda: len(serving.observer.comparisons) == 2)
    assert seen[0] == seen[1]
    predictor.close()


async def test_a_challenger_that_has_no_room_is_not_loaded_again_and_again(serving: ServingModels) -> None:
    serving.register("champion")
    serving.register("challenger", sharpness=8.0)
    manager = serving.manager(limit=1)
    await manager.watcher.poll()
    predictor = serving.predictor(manager, shares=TrafficSplit(canary=1))
    for _ in range(5):
        assert (await predictor.predict(HAND, ModelRef())).model_version.version == 1
        await asyncio.sleep(0.02)
    assert serving.downloads == 1
    predictor.close()


async def test_only_answers_are_counted(serving: ServingModels) -> None:
    serving.register("champion")
    manager = serving.manager()
    await manager.watcher.poll()
    rollout = Rollout(manager, TrafficSplit())
    predictor = Predictor(manager, Pipeline(NoBlur(), draw, 10_000), AdmissionQueue(1, 9, 60), rollout, 1)
    with pytest.raises(ImageError):
        await predictor.predict(b"no image", ModelRef())
    await predictor.predict(HAND, ModelRef())
    await predictor.predict(HAND, ModelRef(version=1))
    assert rollout.stats("fingers").champion == 1
    predictor.close()


async def test_a_rollback_to_a_bad_version_is_refused(tmp_path: Path) -> None:
    from fakes.packages import damage

    mlflow = FakeMlflow()
    bad = build_package(tmp_path / "bad", sharpness=4.0)
    damage(bad.root, "golden")
    mlflow.register(bad, aliases=["previous"])
    mlflow.register(build_package(tmp_path / "good"), aliases=["champion"])
    async with running(make_app(tmp_path, mlflow)) as client:
        refused = await client.post("/models/fingers/rollback", json={})
        assert (refused.status_code, refused.json()["type"]) == (503, "urn:handful:problem:model-refused")
        unknown = await client.post("/models/nobody/rollback", json={})
        assert unknown.status_code == 404
    assert Registry("http://mlflow", transport=mlflow.transport()).version("fingers", "champion").version == 2


async def test_a_model_that_is_not_served_is_not_rolled_back(tmp_path: Path) -> None:
    mlflow = FakeMlflow()
    for name in ("fingers", "other"):
        mlflow.register(build_package(tmp_path / f"{name}1"), name, aliases=["previous"])
        mlflow.register(build_package(tmp_path / f"{name}2", sharpness=8.0), name, aliases=["champion"])
    async with running(make_app(tmp_path, mlflow, models=("fingers",))) as client:
        assert (await client.post("/models/other/rollback", json={})).status_code == 404
    assert Registry("http://mlflow", transport=mlflow.transport()).version("other", "champion").version == 2


async def test_a_first_champion_is_promoted_though_there_is_no_room_for_it(tmp_path: Path) -> None:
    mlflow = FakeMlflow()
    mlflow.register(build_package(tmp_path / "one"), aliases=["champion"])
    mlflow.register(build_package(tmp_path / "two", sharpness=8.0), "bees")
    async with running(make_app(tmp_path, mlflow, max_loaded=1, poll_seconds=1000)) as client:
        done = await client.post("/models/bees/promote", json={"version": 1})
        assert (done.status_code, done.json()["champion"]) == (200, 1)
