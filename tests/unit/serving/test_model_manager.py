from __future__ import annotations

import asyncio
import logging
import shutil
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import httpx
import pytest

from fakes.packages import DAMAGES, Damage, damage, encode, picture
from handful_core.errors import UnavailableError
from handful_core.registry.records import RegisteredModel
from handful_serving.domain import loader, watcher
from handful_serving.domain.model_manager import ModelManager
from handful_serving.domain.model_ref import ModelRef, ModelVersion
from handful_serving.errors import NoModelError, OverloadedError, RefusedModelError, UnknownModelError
from support.serving_models import ServingModels

pytestmark = pytest.mark.anyio
FINGERS = ModelRef("fingers")


def keys(fleet: ModelManager) -> list[ModelVersion]:
    return sorted(loaded.key for loaded in fleet.store)


def not_ready(fleet: ModelManager) -> str:
    with pytest.raises(NoModelError) as caught:
        fleet.ready()
    return str(caught.value)


def pass_time(fleet: ModelManager, seconds: float) -> None:
    """Let the fleet's refusals believe that so much time went by."""
    clock = fleet.refusals._clock
    fleet.refusals._clock = lambda: clock() + seconds


def register_bad(house: ServingModels, kind: Damage, *aliases: str) -> int:
    package = house.package()
    damage(package.root, kind)
    return house.mlflow.register(package, "fingers", aliases)


# The alias is the only deploy switch.


async def test_the_champion_is_taken_up(house: ServingModels) -> None:
    house.register()
    house.register("champion")
    fleet = house.fleet()
    await fleet.watcher.poll()
    assert fleet.ready() == [ModelVersion("fingers", 2)]
    assert house.notes.reloads == [("fingers", "ok", "")]


async def test_a_new_champion_takes_over_and_the_old_one_is_kept(house: ServingModels) -> None:
    house.register("champion")
    fleet = house.fleet()
    await fleet.watcher.poll()
    house.register("champion")
    await fleet.watcher.poll()
    assert fleet.ready() == [ModelVersion("fingers", 2)]
    assert (await fleet.find(FINGERS)).key == ModelVersion("fingers", 2)
    house.mlflow.point("champion", 1)
    await fleet.watcher.poll()
    assert fleet.ready() == [ModelVersion("fingers", 1)]
    assert house.downloads == 2, "to roll back, nothing is fetched"
    assert len(house.opened) == 2, "nor loaded"


async def test_where_there_is_room_for_one_the_old_champion_goes(house: ServingModels) -> None:
    house.register("champion")
    fleet = house.fleet(limit=1)
    await fleet.watcher.poll()
    house.register("champion")
    await fleet.watcher.poll()
    assert keys(fleet) == [ModelVersion("fingers", 2)]


async def test_the_old_champion_answers_until_the_new_one_is_ready(house: ServingModels) -> None:
    house.register("champion")
    fleet = house.fleet()
    await fleet.watcher.poll()
    seen = []
    house.on_open = lambda _: seen.append(fleet.catalog.champions["fingers"])
    house.register("champion")
    await fleet.watcher.poll()
    assert seen == [1]
    assert fleet.catalog.champions["fingers"] == 2


async def test_a_quiet_registry_is_asked_one_question(house: ServingModels) -> None:
    house.register("champion")
    fleet = house.fleet()
    await fleet.watcher.poll()
    house.mlflow.requests.clear()
    await fleet.watcher.poll()
    assert len(house.mlflow.requests) == 1


async def test_a_model_without_the_alias_is_retired(house: ServingModels) -> None:
    house.register("champion")
    house.register("champion", name="leaves")
    fleet = house.fleet()
    await fleet.watcher.poll()
    house.mlflow.drop_alias("champion")
    await fleet.watcher.poll()
    assert fleet.ready() == [ModelVersion("leaves", 1)]
    assert (await fleet.find(ModelRef())).key == ModelVersion("leaves", 1)
    with pytest.raises(UnknownModelError, match="no alias champion"):
        await fleet.find(FINGERS)
    house.mlflow.away = True
    again = house.fleet()
    await again.watcher.poll()
    assert again.ready() == [ModelVersion("leaves", 1)], "nor does it come back from the cache"


async def test_a_deleted_model_is_retired(house: ServingModels) -> None:
    house.register("champion")
    fleet = house.fleet()
    await fleet.watcher.poll()
    house.mlflow.forget()
    await fleet.watcher.poll()
    assert "no registered model has the alias champion" in not_ready(fleet)


async def test_an_empty_answer_is_doubted(house: ServingModels) -> None:
    """A proxy in front of a registry that is away may answer anything."""
    house.register("champion")
    fleet = house.fleet()
    await fleet.watcher.poll()
    house.mlflow.answer = lambda _: httpx.Response(200, json={})
    await fleet.watcher.poll()
    assert fleet.ready() == [ModelVersion("fingers", 1)]


async def test_a_registry_begun_anew_has_other_versions(house: ServingModels) -> None:
    house.register("champion")
    fleet = house.fleet()
    await fleet.watcher.poll()
    first = (await fleet.find(FINGERS)).digest
    house.mlflow.forget()
    house.register("champion")
    await fleet.watcher.poll()
    assert fleet.ready() == [ModelVersion("fingers", 1)]
    assert (await fleet.find(FINGERS)).digest != first
    assert house.downloads == 2


# A bad package is refused, and the old one serves.


@pytest.mark.parametrize("kind", DAMAGES)
async def test_a_bad_package_is_refused_and_the_old_model_serves(
    house: ServingModels, kind: Damage, caplog: pytest.LogCaptureFixture
) -> None:
    house.register("champion")
    fleet = house.fleet()
    await fleet.watcher.poll()
    register_bad(house, kind, "champion")
    with caplog.at_level(logging.ERROR):
        for _ in range(5):
            await fleet.watcher.poll()
    assert fleet.ready() == [ModelVersion("fingers", 1)]
    assert (await fleet.find(FINGERS)).key == ModelVersion("fingers", 1)
    reason = {"hash": "damaged", "missing": "damaged"}.get(kind, kind)
    assert house.notes.reloads == [("fingers", "ok", ""), ("fingers", "refused", reason)]
    assert len(caplog.records) == 1, "it is told once"
    assert "refused fingers version 2" in caplog.text
    for _ in range(3):
        with pytest.raises(RefusedModelError, match="fingers version 2 cannot be served") as caught:
            await fleet.find(ModelRef("fingers", version=2))
        assert caught.value.reason_kind == reason
    assert len(house.notes.reloads) == 2, "nor is it loaded for those who ask for it"
    house.register("champion")
    await fleet.watcher.poll()
    assert fleet.ready() == [ModelVersion("fingers", 3)]


async def test_a_version_without_a_package_is_refused(house: ServingModels) -> None:
    house.mlflow.register(None, "fingers", ["champion"])
    fleet = house.fleet()
    await fleet.watcher.poll()
    assert "champion fingers version 1 is refused (fingers version 1 holds no model package" in not_ready(fleet)
    assert "handful promote fingers VERSION" in not_ready(fleet)
    assert house.notes.reloads == [("fingers", "refused", "missing")]


async def test_a_refused_version_gets_another_chance_after_a_while(house: ServingModels) -> None:
    house.register("champion")
    house.on_open = lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    fleet = house.fleet()
    await fleet.watcher.poll()
    assert house.notes.reloads == [("fingers", "failed", "resource")]
    house.on_open = lambda _: None
    await fleet.watcher.poll()
    assert "No space left" in not_ready(fleet)
    pass_time(fleet, loader.FAILED_SECONDS)
    await fleet.watcher.poll()
    assert fleet.ready() == [ModelVersion("fingers", 1)]


async def test_after_a_start_with_a_bad_champion_the_last_good_one_serves(house: ServingModels) -> None:
    house.register("champion")
    await house.fleet().watcher.poll()
    register_bad(house, "golden", "champion")
    fleet = house.fleet()
    await fleet.watcher.poll()
    assert fleet.ready() == [ModelVersion("fingers", 1)]
    assert fleet.catalog.aliases("fingers") == {"champion": 2}


async def test_what_comes_up_unexpectedly_does_not_end_the_watching(
    house: ServingModels, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.register("champion")
    fleet = house.fleet()
    trouble, update = [ZeroDivisionError()], fleet.catalog.update

    def fails_once(models: Iterable[RegisteredModel]) -> list[str]:
        if trouble:
            raise trouble.pop()
        return update(models)

    monkeypatch.setattr(fleet.catalog, "update", fails_once)
    fleet.start(0.01)
    try:
        async with asyncio.timeout(10):
            while not fleet.catalog.champions:
                await asyncio.sleep(0.01)
    finally:
        await fleet.stop()
    assert "watching the registry failed" in caplog.text
    assert ("", "failed", "internal") in house.notes.reloads


async def test_a_package_that_brings_up_anything_is_refused_and_the_others_are_served(house: ServingModels) -> None:
    house.register("champion", name="ants")
    house.register("champion", name="bees")

    def breaks(folder: Path) -> None:
        if "ants" in str(folder):
            raise ZeroDivisionError

    house.on_open = breaks
    fleet = house.fleet()
    await fleet.watcher.poll()
    await fleet.watcher.poll()
    assert fleet.ready() == [ModelVersion("bees", 1)]
    assert house.notes.reloads == [("ants", "failed", "internal"), ("bees", "ok", "")]
    with pytest.raises(RefusedModelError):
        await fleet.find(ModelRef("ants"))


@pytest.mark.parametrize(
    "garbage", [b"[" * 100_000, b'{"registered_models": [{"name": "x", "creation_timestamp": 1e400}]}']
)
async def test_whatever_mlflow_answers_the_cache_serves(house: ServingModels, garbage: bytes) -> None:
    house.register("champion")
    await house.fleet().watcher.poll()
    house.mlflow.answer = lambda _: httpx.Response(200, content=garbage)
    fleet = house.fleet()
    await fleet.watcher.poll()
    assert fleet.ready() == [ModelVersion("fingers", 1)]
    assert house.notes.reachable == [True, False]


# MLflow may be away.


async def test_without_mlflow_the_default_model_comes_first_and_others_on_demand(house: ServingModels) -> None:
    for name in ("ants", "bees", "fingers"):
        house.register("champion", name=name)
    await house.fleet().watcher.poll()
    house.mlflow.away = True
    fleet = house.fleet(limit=1)
    await fleet.watcher.poll()
    assert fleet.ready() == [ModelVersion("fingers", 1)]
    assert (await fleet.find(ModelRef())).key == ModelVersion("fingers", 1)
    assert (await fleet.find(ModelRef("bees"))).key == ModelVersion("bees", 1)


async def test_loads_that_wait_are_bounded(house: ServingModels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handful_serving.domain.loader._WAITING", 2)
    for _ in range(4):
        house.register()
    go = threading.Event()
    house.on_open = lambda _: go.wait(20) and None
    fleet = house.fleet()
    await fleet.watcher.poll()
    first = [asyncio.create_task(fleet.find(ModelRef("fingers", version=number))) for number in (1, 2)]
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError, match="too many models"):
        await fleet.find(ModelRef("fingers", version=3))
    go.set()
    assert [found.key.version for found in await asyncio.gather(*first)] == [1, 2]
    assert (await fleet.find(ModelRef("fingers", version=3))).key.version == 3


async def test_without_mlflow_the_cache_serves(house: ServingModels) -> None:
    house.register()
    house.register("champion")
    await house.fleet().watcher.poll()
    house.mlflow.away = True
    fleet = house.fleet()
    await fleet.watcher.poll()
    assert fleet.ready() == [ModelVersion("fingers", 2)]
    assert house.downloads == 1
    with pytest.raises(UnavailableError, match="does not answer"):
        await fleet.find(ModelRef("fingers", version=1))


async def test_without_mlflow_and_cache_it_says_why(house: ServingModels) -> None:
    house.mlflow.away = True
    fleet = house.fleet()
    assert "being loaded" in not_ready(fleet)
    await fleet.watcher.poll()
    assert not_ready(fleet) == (
        "no model is in the cache, and the registry is away: MLflow at http://mlflow does not answer "
        "(Connection refused): start it, or set HANDFUL_MLFLOW_URI to where it runs"
    )
    with pytest.raises(NoModelError):
        await fleet.find(ModelRef())


async def test_an_empty_registry_says_which_command_makes_a_model(house: ServingModels) -> None:
    fleet = house.fleet()
    await fleet.watcher.poll()
    assert "handful import models/starter.zip" in not_ready(fleet)


async def test_mlflow_may_go_and_come_back(house: ServingModels, caplog: pytest.LogCaptureFixture) -> None:
    house.register("champion")
    fleet = house.fleet()
    await fleet.watcher.poll()
    house.mlflow.away = True
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            await fleet.watcher.poll()
    assert len(caplog.records) == 1, "it is told once"
    assert fleet.ready() == [ModelVersion("fingers", 1)]
    assert fleet.catalog.reachable is False
    house.mlflow.away = False
    house.register("champion")
    await fleet.watcher.poll()
    assert fleet.ready() == [ModelVersion("fingers", 2)]
    assert house.notes.reachable == [True, False, False, False, True]


async def test_mlflow_may_go_in_the_middle_of_a_download(
    house: ServingModels, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    house.register("champion")
    fleet = house.fleet()
    await fleet.watcher.poll()
    house.register("champion")

    def breaks(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("model.onnx"):
            raise httpx.ReadError("connection reset", request=request)
        return house.mlflow._route(request)

    house.mlflow.answer = breaks
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            await fleet.watcher.poll()
    assert fleet.ready() == [ModelVersion("fingers", 1)]
    assert house.notes.reloads == [("fingers", "ok", ""), ("fingers", "failed", "registry")], (
        "it is not tried again at once"
    )
    assert len(caplog.records) == 1
    assert list((tmp_path / "cache" / ".incoming").iterdir()) == []
    house.mlflow.answer = None
    later = time.monotonic() + watcher.POSTPONED_SECONDS
    fleet.watcher._clock = lambda: later
    await fleet.watcher.poll()
    assert fleet.ready() == [ModelVersion("fingers", 2)]


@pytest.mark.parametrize(
    "answer", [httpx.Response(200, text="<html>"), httpx.Response(500, text="oops"), httpx.Response(200, json=[])]
)
async def test_garbage_is_as_good_as_no_answer(house: ServingModels, answer: httpx.Response) -> None:
    house.register("champion")
    await house.fleet().watcher.poll()
    house.mlflow.answer = lambda _: answer
    fleet = house.fleet()
    await fleet.watcher.poll()
    assert fleet.ready() == [ModelVersion("fingers", 1)]


# The cache.


async def test_after_a_restart_nothing_is_fetched_again(house: ServingModels) -> None:
    house.register("champion")
    for _ in range(3):
        fleet = house.fleet()
        await fleet.watcher.poll()
        assert fleet.ready() == [ModelVersion("fingers", 1)]
    assert house.downloads == 1


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json", "golden.png"])
async def test_a_spoilt_cache_is_mended(house: ServingModels, tmp_path: Path, name: str) -> None:
    house.register("champion")
    await house.fleet().watcher.poll()
    (found,) = (tmp_path / "cache").glob(f"fingers/*/package/{name}")
    found.write_bytes(found.read_bytes()[:-20])
    fleet = house.fleet()
    await fleet.watcher.poll()
    assert fleet.ready() == [ModelVersion("fingers", 1)]
    assert house.downloads == 2


async def test_a_spoilt_cache_without_mlflow_is_told_of(house: ServingModels, tmp_path: Path) -> None:
    house.register("champion")
    await house.fleet().watcher.poll()
    (found,) = (tmp_path / "cache").glob("fingers/*/package/model.onnx")
    found.write_bytes(b"")
    house.mlflow.away = True
    fleet = house.fleet()
    await fleet.watcher.poll()
    assert "no model is in the cache" in not_ready(fleet)
    house.mlflow.away = False
    later = time.monotonic() + watcher.POSTPONED_SECONDS
    fleet.watcher._clock = lambda: later
    await fleet.watcher.poll()
    assert fleet.ready() == [ModelVersion("fingers", 1)]


async def test_a_cache_that_cannot_be_written_costs_no_model(house: ServingModels, tmp_path: Path) -> None:
    house.register("champion")
    fleet = house.fleet()
    await fleet.watcher.poll()
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "cache").write_text("in the way")
    house.register("champion")
    await fleet.watcher.poll()
    assert fleet.ready() == [ModelVersion("fingers", 1)]
    assert house.notes.reloads[-1] == ("fingers", "failed", "resource")


async def test_old_packages_leave_the_disk(house: ServingModels, tmp_path: Path) -> None:
    fleet = house.fleet(limit=1, keep=2)
    for _ in range(5):
        house.register("champion")
        await fleet.watcher.poll()
    kept = sorted(path.name.split("-")[0] for path in (tmp_path / "cache" / "fingers").iterdir())
    assert kept == ["4", "5"]


# Other versions are loaded when they are asked for.


async def test_any_version_or_alias_can_be_asked_for(house: ServingModels) -> None:
    house.register()
    house.register("champion")
    house.register("challenger")
    fleet = house.fleet()
    await fleet.watcher.poll()
    assert keys(fleet) == [ModelVersion("fingers", 2)]
    assert (await fleet.find(ModelRef("fingers", version=1))).key.version == 1
    assert (await fleet.find(ModelRef(alias="challenger"))).key.version == 3
    assert fleet.ready() == [ModelVersion("fingers", 2)]
    with pytest.raises(UnknownModelError, match="model fingers has no version 9: it has 1, 2, 3"):
        await fleet.find(ModelRef("fingers", version=9))


async def test_a_version_is_loaded_once_for_all_who_ask(house: ServingModels) -> None:
    house.register("champion")
    house.register()
    fleet = house.fleet()
    await fleet.watcher.poll()
    found = await asyncio.gather(*(fleet.find(ModelRef("fingers", version=2)) for _ in range(20)))
    assert len({id(loaded) for loaded in found}) == 1
    assert house.downloads == 2


async def test_a_request_may_come_before_the_first_load_ends(house: ServingModels) -> None:
    house.register("champion")
    fleet = house.fleet()
    polling = asyncio.ensure_future(fleet.watcher.poll())
    while not fleet.catalog.models:
        await asyncio.sleep(0)
    assert (await fleet.find(ModelRef())).key == ModelVersion("fingers", 1)
    await polling
    assert len(house.opened) == 1


async def test_no_more_models_than_allowed_stay_in_memory(house: ServingModels) -> None:
    house.register("champion")
    for _ in range(4):
        house.register()
    fleet = house.fleet(limit=2)
    await fleet.watcher.poll()
    for version in (2, 3, 4, 5):
        with fleet.store.lease(await fleet.find(ModelRef("fingers", version=version))):
            assert len(fleet.store) <= 3
            assert fleet.store.get(ModelVersion("fingers", version))
    assert keys(fleet) == [ModelVersion("fingers", 1), ModelVersion("fingers", 5)]
    assert fleet.ready() == [ModelVersion("fingers", 1)]


async def test_champions_without_room_are_loaded_when_they_are_asked_for(house: ServingModels) -> None:
    for name in ("a", "b", "c", "fingers"):
        house.register("champion", name=name)
    fleet = house.fleet(limit=2)
    await fleet.watcher.poll()
    assert keys(fleet) == [ModelVersion("a", 1), ModelVersion("fingers", 1)]
    with fleet.store.lease(await fleet.find(ModelRef("c"))):
        pass
    assert keys(fleet) == [ModelVersion("c", 1), ModelVersion("fingers", 1)], "the default model's champion stays"
    assert fleet.ready() == [ModelVersion("c", 1), ModelVersion("fingers", 1)]


async def test_only_chosen_models_are_served(house: ServingModels) -> None:
    house.register("champion")
    house.register("champion", name="leaves")
    fleet = house.fleet(served=("leaves",))
    await fleet.watcher.poll()
    assert fleet.ready() == [ModelVersion("leaves", 1)]
    with pytest.raises(UnknownModelError, match="there is no model fingers: there is leaves"):
        await fleet.find(FINGERS)


async def test_stopping_does_not_wait_for_a_registry_that_hangs(house: ServingModels) -> None:
    house.register("champion")
    house.mlflow.delay = 3
    fleet = house.fleet()
    fleet.start(0.01)
    await asyncio.sleep(0.05)
    hanging = [thread for thread in threading.enumerate() if thread.name.startswith("handful-")]
    assert hanging
    assert all(thread.daemon for thread in hanging)  # Nor does the end of the process wait for it.
    async with asyncio.timeout(1):
        await fleet.stop()


async def test_a_slow_mlflow_makes_no_answer_slow(house: ServingModels) -> None:
    house.register("champion")
    fleet = house.fleet()
    await fleet.watcher.poll()
    house.mlflow.delay = 1.0
    polling = asyncio.ensure_future(fleet.watcher.poll())
    await asyncio.sleep(0)
    predictor = house.predictor(fleet)
    for _ in range(20):
        assert (await predictor.predict(encode(picture({(2, 3): "5"})), ModelRef())).answer.count == 5
    assert not polling.done(), "twenty answers took less time than one of MLflow's"
    house.mlflow.delay = 0
    await polling
    predictor.close()


@pytest.mark.parametrize("now", [0.0, 4e9])
async def test_a_clock_that_jumps_changes_nothing(
    house: ServingModels, monkeypatch: pytest.MonkeyPatch, now: float
) -> None:
    house.register("champion")
    fleet = house.fleet()
    await fleet.watcher.poll()
    monkeypatch.setattr("time.time", lambda: now)
    house.register("champion")
    await fleet.watcher.poll()
    assert fleet.ready() == [ModelVersion("fingers", 2)]
    again = house.fleet()
    house.mlflow.away = True
    await again.watcher.poll()
    assert again.ready() == [ModelVersion("fingers", 2)]


async def test_a_full_disk_costs_no_model_and_passes(house: ServingModels, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    house.register("champion")
    fleet = house.fleet()
    await fleet.watcher.poll()
    real = fleet.world.cache.install

    def full(*_: object) -> object:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fleet.world.cache, "install", full)
    house.register("champion")
    await fleet.watcher.poll()
    assert fleet.ready() == [ModelVersion("fingers", 1)]
    assert house.notes.reloads[-1] == ("fingers", "failed", "resource")
    refusal = fleet.refusals.get(ModelVersion("fingers", 2))
    assert refusal is not None
    assert "No space left on device" in refusal.reason
    monkeypatch.setattr(fleet.world.cache, "install", real)
    fleet.refusals.forget("fingers")  # Half a minute goes by.
    await fleet.watcher.poll()
    assert fleet.ready() == [ModelVersion("fingers", 2)]
