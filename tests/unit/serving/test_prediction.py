from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from fakes.packages import encode, picture
from handful_core.vision import decode
from handful_core.vision.decode import ImageTooLargeError
from handful_serving.domain.model_ref import ModelRef, ModelVersion
from handful_serving.domain.prediction import PredictOptions
from handful_serving.errors import OverloadedError
from support.serving_models import ServingModels

pytestmark = pytest.mark.anyio
HAND = encode(picture({(2, 3): "5"}))


async def test_a_prediction_tells_how_it_came_about(serving: ServingModels) -> None:
    serving.register("champion")
    manager = serving.manager()
    await manager.watcher.poll()
    predictor = serving.predictor(manager, workers=1, max_pixels=10_000)
    result = await predictor.predict(HAND, ModelRef(), PredictOptions(iou=0.4))
    assert (result.model_version, result.image.width, result.image.height) == (ModelVersion("fingers", 1), 64, 64)
    assert (result.confidence, result.iou) == (0.25, 0.4)
    assert result.prediction.count == 5
    assert serving.observer.predictions == []  # It is counted when the answer is on its way.
    await asyncio.sleep(0)
    assert serving.observer.predictions == [ModelVersion("fingers", 1)]
    with pytest.raises(ImageTooLargeError):
        await serving.predictor(manager, workers=1, max_pixels=10).predict(HAND, ModelRef())
    await asyncio.sleep(0)
    assert len(serving.observer.predictions) == 1
    predictor.close()


async def test_a_model_stays_in_use_after_its_client_has_gone(
    serving: ServingModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving.register("champion")
    manager = serving.manager()
    await manager.watcher.poll()
    loaded = await manager.find(ModelRef())
    begun, release = threading.Event(), threading.Event()

    def slow(data: bytes, *bounds: Any) -> decode.DecodedImage:
        begun.set()
        release.wait(10)
        return decode.decode_reduced(data, *bounds)

    monkeypatch.setattr("handful_serving.domain.predictor.decode_reduced", slow)
    predictor = serving.predictor(manager, workers=1, max_pixels=10_000)
    asking = asyncio.ensure_future(predictor.predict(HAND, ModelRef()))
    while not begun.is_set():
        await asyncio.sleep(0.001)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert loaded.leases == 1, "the thread still uses it"
    release.set()
    async with asyncio.timeout(10):
        while loaded.leases:
            await asyncio.sleep(0.001)
    predictor.close()


async def test_a_failed_prediction_gives_its_lease_back(serving: ServingModels) -> None:
    serving.register("champion")
    manager = serving.manager()
    await manager.watcher.poll()
    predictor = serving.predictor(manager, workers=2, max_pixels=10)
    loaded = await manager.find(ModelRef())
    results = await asyncio.gather(*(predictor.predict(HAND, ModelRef()) for _ in range(9)), return_exceptions=True)
    assert {type(result) for result in results} == {ImageTooLargeError}
    assert loaded.leases == 0
    predictor.close()


async def test_requests_that_have_begun_are_answered_by_the_model_they_began_with(
    serving: ServingModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving.register("champion")
    manager = serving.manager(limit=1)
    await manager.watcher.poll()
    release = threading.Event()

    def slow(data: bytes, *bounds: Any) -> decode.DecodedImage:
        release.wait(10)
        return decode.decode_reduced(data, *bounds)

    monkeypatch.setattr("handful_serving.domain.predictor.decode_reduced", slow)
    predictor = serving.predictor(manager, workers=2, max_pixels=10_000)
    asking = asyncio.ensure_future(predictor.predict(HAND, ModelRef()))
    await asyncio.sleep(0.05)
    serving.register("champion")
    await manager.watcher.poll()
    assert manager.ready() == [ModelVersion("fingers", 2)]
    release.set()
    assert (await asking).model_version == ModelVersion("fingers", 1)
    assert (await predictor.predict(HAND, ModelRef())).model_version == ModelVersion("fingers", 2)
    assert [loaded.model_version for loaded in manager.store] == [ModelVersion("fingers", 2)]
    predictor.close()


async def test_a_model_that_does_not_come_in_time_is_not_waited_for(serving: ServingModels) -> None:
    serving.register("champion")
    manager = serving.manager()
    await manager.watcher.poll()
    serving.register()
    go = threading.Event()
    serving.on_open = lambda _: go.wait(20) and None
    predictor = serving.predictor(manager)
    with pytest.raises(OverloadedError, match="not loaded within") as caught:
        await predictor.predict(HAND, ModelRef("fingers", version=2), deadline=0.1)
    assert (caught.value.reason, caught.value.retry_after) == ("loading", 1)
    go.set()
    assert (await predictor.predict(HAND, ModelRef("fingers", version=2))).model_version.version == 2
    predictor.close()
