from __future__ import annotations

import asyncio
import threading

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


async def test_a_prediction_tells_how_it_came_about(house: ServingModels) -> None:
    house.register("champion")
    fleet = house.fleet()
    await fleet.watcher.poll()
    predictor = house.predictor(fleet, workers=1, max_pixels=10_000)
    found = await predictor.predict(HAND, ModelRef(), PredictOptions(iou=0.4))
    assert (found.key, found.outcome.width, found.outcome.height) == (ModelVersion("fingers", 1), 64, 64)
    assert (found.confidence, found.iou) == (0.25, 0.4)
    assert found.answer.count == 5
    assert house.notes.predictions == []  # It is counted when the answer is on its way.
    await asyncio.sleep(0)
    assert house.notes.predictions == [ModelVersion("fingers", 1)]
    with pytest.raises(ImageTooLargeError):
        await house.predictor(fleet, workers=1, max_pixels=10).predict(HAND, ModelRef())
    await asyncio.sleep(0)
    assert len(house.notes.predictions) == 1
    predictor.close()


async def test_a_model_stays_in_use_after_its_client_has_gone(
    house: ServingModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.register("champion")
    fleet = house.fleet()
    await fleet.watcher.poll()
    loaded = await fleet.find(ModelRef())
    begun, release = threading.Event(), threading.Event()

    def slow(data: bytes, max_pixels: int, enough: int | None) -> decode.Picture:
        begun.set()
        release.wait(10)
        return decode.decode_reduced(data, max_pixels, enough)

    monkeypatch.setattr("handful_serving.domain.predictor.decode_reduced", slow)
    predictor = house.predictor(fleet, workers=1, max_pixels=10_000)
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


async def test_a_failed_prediction_gives_its_lease_back(house: ServingModels) -> None:
    house.register("champion")
    fleet = house.fleet()
    await fleet.watcher.poll()
    predictor = house.predictor(fleet, workers=2, max_pixels=10)
    loaded = await fleet.find(ModelRef())
    results = await asyncio.gather(*(predictor.predict(HAND, ModelRef()) for _ in range(9)), return_exceptions=True)
    assert {type(result) for result in results} == {ImageTooLargeError}
    assert loaded.leases == 0
    predictor.close()


async def test_requests_that_have_begun_are_answered_by_the_model_they_began_with(
    house: ServingModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.register("champion")
    fleet = house.fleet(limit=1)
    await fleet.watcher.poll()
    release = threading.Event()

    def slow(data: bytes, max_pixels: int, enough: int | None) -> decode.Picture:
        release.wait(10)
        return decode.decode_reduced(data, max_pixels, enough)

    monkeypatch.setattr("handful_serving.domain.predictor.decode_reduced", slow)
    predictor = house.predictor(fleet, workers=2, max_pixels=10_000)
    asking = asyncio.ensure_future(predictor.predict(HAND, ModelRef()))
    await asyncio.sleep(0.05)
    house.register("champion")
    await fleet.watcher.poll()
    assert fleet.ready() == [ModelVersion("fingers", 2)]
    release.set()
    assert (await asking).key == ModelVersion("fingers", 1)
    assert (await predictor.predict(HAND, ModelRef())).key == ModelVersion("fingers", 2)
    assert [loaded.key for loaded in fleet.store] == [ModelVersion("fingers", 2)]
    predictor.close()


async def test_a_model_that_does_not_come_in_time_is_not_waited_for(house: ServingModels) -> None:
    house.register("champion")
    fleet = house.fleet()
    await fleet.watcher.poll()
    house.register()
    go = threading.Event()
    house.on_open = lambda _: go.wait(20) and None
    predictor = house.predictor(fleet)
    with pytest.raises(OverloadedError, match="not loaded within") as caught:
        await predictor.predict(HAND, ModelRef("fingers", version=2), seconds=0.1)
    assert (caught.value.reason, caught.value.retry_after) == ("loading", 1)
    go.set()
    assert (await predictor.predict(HAND, ModelRef("fingers", version=2))).key.version == 2
    predictor.close()
