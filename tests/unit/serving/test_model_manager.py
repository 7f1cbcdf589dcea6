from __future__ import annotations

import asyncio
import logging
import shutil
import threading
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
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
from support.serving_models import ServingModels, leased
from support.small_disk import fill, small_disk

pytestmark = pytest.mark.anyio
FINGERS = ModelRef("fingers")


def keys(manager: ModelManager) -> list[ModelVersion]:
    return sorted(loaded.model_version for loaded in manager.store)


def not_ready(manager: ModelManager) -> str:
    with pytest.raises(NoModelError) as caught:
        manager.ready()
    return str(caught.value)


def pass_time(manager: ModelManager, seconds: float) -> None:
    """Let the manager's load_failures believe that so much time went by."""
    clock = manager.load_failures._clock
    manager.load_failures._clock = lambda: clock() + seconds


def register_bad(serving: ServingModels, kind: Damage, *aliases: str) -> int:
    package = serving.package()
    damage(package.root, kind)
    return serving.mlflow.register(package, "fingers", aliases)


# The alias is the only deploy switch.


async def test_the_champion_is_taken_up(serving: ServingModels) -> None:
    serving.register()
    serving.register("champion")
    manager = serving.manager()
    await manager.watcher.poll()
    assert manager.ready() == [ModelVersion("fingers", 2)]
    assert serving.observer.reloads == [("fingers", "ok", "")]


async def test_a_new_champion_takes_over_and_the_old_one_is_kept(serving: ServingModels) -> None:
    serving.register("champion")
    manager = serving.manager()
    await manager.watcher.poll()
    serving.register("champion")
    await manager.watcher.poll()
    assert manager.ready() == [ModelVersion("fingers", 2)]
    assert (await manager.find(FINGERS)).model_version == ModelVersion("fingers", 2)
    serving.mlflow.point("champion", 1)
    await manager.watcher.poll()
    assert manager.ready() == [ModelVersion("fingers", 1)]
    assert serving.downloads == 2, "to roll back, nothing is fetched"
    assert len(serving.opened) == 2, "nor loaded"


async def test_where_there_is_room_for_one_the_old_champion_goes(serving: ServingModels) -> None:
    serving.register("champion")
    manager = serving.manager(limit=1)
    await manager.watcher.poll()
    serving.register("champion")
    await manager.watcher.poll()
    assert keys(manager) == [ModelVersion("fingers", 2)]


async def test_the_old_champion_answers_until_the_new_one_is_ready(serving: ServingModels) -> None:
    serving.register("champion")
    manager = serving.manager()
    await manager.watcher.poll()
    seen = []
    serving.on_open = lambda _: seen.append(manager.catalog.champions["fingers"])
    serving.register("champion")
    await manager.watcher.poll()
    assert seen == [1]
    assert manager.catalog.champions["fingers"] == 2


async def test_a_quiet_registry_is_asked_one_question(serving: ServingModels) -> None:
    serving.register("champion")
    manager = serving.manager()
    await manager.watcher.poll()
    serving.mlflow.requests.clear()
    await manager.watcher.poll()
    assert len(serving.mlflow.requests) == 1


async def test_a_model_without_the_alias_is_retired(serving: ServingModels) -> None:
    serving.register("champion")
    serving.register("champion", name="leaves")
    manager = serving.manager()
    await manager.watcher.poll()
    serving.mlflow.drop_alias("champion")
    await manager.watcher.poll()
    assert manager.ready() == [ModelVersion("leaves", 1)]
    assert (await manager.find(ModelRef())).model_version == ModelVersion("leaves", 1)
    with pytest.raises(UnknownModelError, match="no alias champion"):
        await manager.find(FINGERS)
    serving.mlflow.away = True
    again = serving.manager()
    await again.watcher.poll()
    assert again.ready() == [ModelVersion("leaves", 1)], "nor does it come back from the cache"


async def test_a_deleted_model_is_retired(serving: ServingModels) -> None:
    serving.register("champion")
    manager = serving.manager()
    await manager.watcher.poll()
    serving.mlflow.forget()
    await manager.watcher.poll()
    assert "no registered model has the alias champion" in not_ready(manager)


async def test_an_empty_answer_is_doubted(serving: ServingModels) -> None:
    """A proxy in front of a registry that is away may answer anything."""
    serving.register("champion")
    manager = serving.manager()
    await manager.watcher.poll()
    serving.mlflow.answer = lambda _: httpx.Response(200, json={})
    await manager.watcher.poll()
    assert manager.ready() == [ModelVersion("fingers", 1)]


async def test_a_registry_begun_anew_has_other_versions(serving: ServingModels) -> None:
    serving.register("champion")
    manager = serving.manager()
    await manager.watcher.poll()
    first = (await manager.find(FINGERS)).digest
    serving.mlflow.forget()
    serving.register("champion")
    await manager.watcher.poll()
    assert manager.ready() == [ModelVersion("fingers", 1)]
    assert (await manager.find(FINGERS)).digest != first
    assert serving.downloads == 2


# A bad package is refused, and the old one serves.


@pytest.mark.parametrize("kind", DAMAGES)
async def test_a_bad_package_is_refused_and_the_old_model_serves(
    serving: ServingModels, kind: Damage, caplog: pytest.LogCaptureFixture
) -> None:
    serving.register("champion")
    manager = serving.manager()
    await manager.watcher.poll()
    register_bad(serving, kind, "champion")
    with caplog.at_level(logging.ERROR):
        for _ in range(5):
            await manager.watcher.poll()
    assert manager.ready() == [ModelVersion("fingers", 1)]
    assert (await manager.find(FINGERS)).model_version == ModelVersion("fingers", 1)
    reason = {"hash": "damaged", "missing": "damaged"}.get(kind, kind)
    assert serving.observer.reloads == [("fingers", "ok", ""), ("fingers", "refused", reason)]
    assert len(caplog.records) == 1, "it is told once"
    assert "refused fingers version 2" in caplog.text
    for _ in range(3):
        with pytest.raises(RefusedModelError, match="fingers version 2 cannot be served") as caught:
            await manager.find(ModelRef("fingers", version=2))
        assert caught.value.reason_kind == reason
    assert len(serving.observer.reloads) == 2, "nor is it loaded for those who ask for it"
    serving.register("champion")
    await manager.watcher.poll()
    assert manager.ready() == [ModelVersion("fingers", 3)]


async def test_a_version_without_a_package_is_refused(serving: ServingModels) -> None:
    serving.mlflow.register(None, "fingers", ["champion"])
    manager = serving.manager()
    await manager.watcher.poll()
    assert "champion fingers version 1 is refused (fingers version 1 holds no model package" in not_ready(manager)
    assert "handful promote fingers VERSION" in not_ready(manager)
    assert serving.observer.reloads == [("fingers", "refused", "missing")]


async def test_a_refused_version_gets_another_chance_after_a_while(serving: ServingModels) -> None:
    serving.register("champion")
    serving.on_open = lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    manager = serving.manager()
    await manager.watcher.poll()
    assert serving.observer.reloads == [("fingers", "failed", "resource")]
    serving.on_open = lambda _: None
    await manager.watcher.poll()
    assert "No space left" in not_ready(manager)
    pass_time(manager, loader.FAILED_SECONDS)
    await manager.watcher.poll()
    assert manager.ready() == [ModelVersion("fingers", 1)]


async def test_after_a_start_with_a_bad_champion_the_last_good_one_serves(serving: ServingModels) -> None:
    serving.register("champion")
    await serving.manager().watcher.poll()
    register_bad(serving, "golden", "champion")
    manager = serving.manager()
    await manager.watcher.poll()
    assert manager.ready() == [ModelVersion("fingers", 1)]
    assert manager.catalog.aliases("fingers") == {"champion": 2}


async def test_what_comes_up_unexpectedly_does_not_end_the_watching(
    serving: ServingModels, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving.register("champion")
    manager = serving.manager()
    trouble, update = [ZeroDivisionError()], manager.catalog.update

    def fails_once(models: Iterable[RegisteredModel]) -> list[str]:
        if trouble:
            raise trouble.pop()
        return update(models)

    monkeypatch.setattr(manager.catalog, "update", fails_once)
    manager.start(0.01)
    try:
        async with asyncio.timeout(10):
            while not manager.catalog.champions:
                await asyncio.sleep(0.01)
    finally:
        await manager.stop()
    assert "watching the registry failed" in caplog.text
    assert ("", "failed", "internal") in serving.observer.reloads


async def test_a_package_that_brings_up_anything_is_refused_and_the_others_are_served(serving: ServingModels) -> None:
    serving.register("champion", name="ants")
    serving.register("champion", name="bees")

    def breaks(folder: Path) -> None:
        if "ants" in str(folder):
            raise ZeroDivisionError

    serving.on_open = breaks
    manager = serving.manager()
    await manager.watcher.poll()
    await manager.watcher.poll()
    assert manager.ready() == [ModelVersion("bees", 1)]
    assert sorted(serving.observer.reloads) == [("ants", "failed", "internal"), ("bees", "ok", "")], "in any order"
    with pytest.raises(RefusedModelError):
        await manager.find(ModelRef("ants"))


@pytest.mark.parametrize(
    "garbage", [b"[" * 100_000, b'{"registered_models": [{"name": "x", "creation_timestamp": 1e400}]}']
)
async def test_whatever_mlflow_answers_the_cache_serves(serving: ServingModels, garbage: bytes) -> None:
    serving.register("champion")
    await serving.manager().watcher.poll()
    serving.mlflow.answer = lambda _: httpx.Response(200, content=garbage)
    manager = serving.manager()
    await manager.watcher.poll()
    assert manager.ready() == [ModelVersion("fingers", 1)]
    assert serving.observer.reachable == [True, False]


# MLflow may be away.


async def test_without_mlflow_the_default_model_comes_first_and_others_on_demand(serving: ServingModels) -> None:
    for name in ("ants", "bees", "fingers"):
        serving.register("champion", name=name)
    await serving.manager().watcher.poll()
    serving.mlflow.away = True
    manager = serving.manager(limit=1)
    await manager.watcher.poll()
    assert manager.ready() == [ModelVersion("fingers", 1)]
    assert (await manager.find(ModelRef())).model_version == ModelVersion("fingers", 1)
    assert (await manager.find(ModelRef("bees"))).model_version == ModelVersion("bees", 1)


async def test_loads_that_wait_are_bounded(serving: ServingModels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handful_serving.domain.loader._MAX_PENDING_LOADS", 2)
    for _ in range(4):
        serving.register()
    go = threading.Event()
    serving.on_open = lambda _: go.wait(20) and None
    manager = serving.manager()
    await manager.watcher.poll()
    first = [asyncio.create_task(manager.find(ModelRef("fingers", version=number))) for number in (1, 2)]
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError, match="too many models"):
        await manager.find(ModelRef("fingers", version=3))
    go.set()
    assert [found.model_version.version for found in await asyncio.gather(*first)] == [1, 2]
    assert (await manager.find(ModelRef("fingers", version=3))).model_version.version == 3


async def test_without_mlflow_the_cache_serves(serving: ServingModels) -> None:
    serving.register()
    serving.register("champion")
    await serving.manager().watcher.poll()
    serving.mlflow.away = True
    manager = serving.manager()
    await manager.watcher.poll()
    assert manager.ready() == [ModelVersion("fingers", 2)]
    assert serving.downloads == 1
    with pytest.raises(UnavailableError, match="does not answer"):
        await manager.find(ModelRef("fingers", version=1))


async def test_without_mlflow_and_cache_it_says_why(serving: ServingModels) -> None:
    serving.mlflow.away = True
    manager = serving.manager()
    assert "being loaded" in not_ready(manager)
    await manager.watcher.poll()
    assert not_ready(manager) == (
        "no model is in the cache, and the registry is away: MLflow at http://mlflow does not answer "
        "(Connection refused): start it (scripts/serve --embedded), or set HANDFUL_MLFLOW_URI to where it runs"
    )
    with pytest.raises(NoModelError):
        await manager.find(ModelRef())


async def test_an_empty_registry_says_which_command_makes_a_model(serving: ServingModels) -> None:
    manager = serving.manager()
    await manager.watcher.poll()
    assert "handful import models/starter.zip" in not_ready(manager)


async def test_mlflow_may_go_and_come_back(serving: ServingModels, caplog: pytest.LogCaptureFixture) -> None:
    serving.register("champion")
    manager = serving.manager()
    await manager.watcher.poll()
    serving.mlflow.away = True
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            await manager.watcher.poll()
    assert len(caplog.records) == 1, "it is told once"
    assert manager.ready() == [ModelVersion("fingers", 1)]
    assert manager.catalog.reachable is False
    serving.mlflow.away = False
    serving.register("champion")
    await manager.watcher.poll()
    assert manager.ready() == [ModelVersion("fingers", 2)]
    assert serving.observer.reachable == [True, False, False, False, True]


async def test_mlflow_may_go_in_the_middle_of_a_download(
    serving: ServingModels, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    serving.register("champion")
    manager = serving.manager()
    await manager.watcher.poll()
    serving.register("champion")

    def breaks(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("model.onnx"):
            raise httpx.ReadError("connection reset", request=request)
        return serving.mlflow._route(request)

    serving.mlflow.answer = breaks
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            await manager.watcher.poll()
    assert manager.ready() == [ModelVersion("fingers", 1)]
    assert serving.observer.reloads == [("fingers", "ok", ""), ("fingers", "failed", "registry")], (
        "it is not tried again at once"
    )
    assert len(caplog.records) == 1
    assert list((tmp_path / "cache" / ".incoming").iterdir()) == []
    serving.mlflow.answer = None
    later = time.monotonic() + watcher.RETRY_SECONDS
    manager.watcher._clock = lambda: later
    await manager.watcher.poll()
    assert manager.ready() == [ModelVersion("fingers", 2)]


@pytest.mark.parametrize(
    "answer", [httpx.Response(200, text="<html>"), httpx.Response(500, text="oops"), httpx.Response(200, json=[])]
)
async def test_garbage_is_as_good_as_no_answer(serving: ServingModels, answer: httpx.Response) -> None:
    serving.register("champion")
    await serving.manager().watcher.poll()
    serving.mlflow.answer = lambda _: answer
    manager = serving.manager()
    await manager.watcher.poll()
    assert manager.ready() == [ModelVersion("fingers", 1)]


# The cache.


async def test_after_a_restart_nothing_is_fetched_again(serving: ServingModels) -> None:
    serving.register("champion")
    for _ in range(3):
        manager = serving.manager()
        await manager.watcher.poll()
        assert manager.ready() == [ModelVersion("fingers", 1)]
    assert serving.downloads == 1


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json", "golden.png"])
async def test_a_spoilt_cache_is_mended(serving: ServingModels, tmp_path: Path, name: str) -> None:
    serving.register("champion")
    await serving.manager().watcher.poll()
    (found,) = (tmp_path / "cache").glob(f"fingers/*/package/{name}")
    found.write_bytes(found.read_bytes()[:-20])
    manager = serving.manager()
    await manager.watcher.poll()
    assert manager.ready() == [ModelVersion("fingers", 1)]
    assert serving.downloads == 2


async def test_a_spoilt_cache_without_mlflow_is_told_of(serving: ServingModels, tmp_path: Path) -> None:
    serving.register("champion")
    await serving.manager().watcher.poll()
    (found,) = (tmp_path / "cache").glob("fingers/*/package/model.onnx")
    found.write_bytes(b"")
    serving.mlflow.away = True
    manager = serving.manager()
    await manager.watcher.poll()
    assert "no model is in the cache" in not_ready(manager)
    serving.mlflow.away = False
    later = time.monotonic() + watcher.RETRY_SECONDS
    manager.watcher._clock = lambda: later
    await manager.watcher.poll()
    assert manager.ready() == [ModelVersion("fingers", 1)]


async def test_a_cache_that_cannot_be_written_costs_no_model(serving: ServingModels, tmp_path: Path) -> None:
    serving.register("champion")
    manager = serving.manager()
    await manager.watcher.poll()
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "cache").write_text("in the way")
    serving.register("champion")
    await manager.watcher.poll()
    assert manager.ready() == [ModelVersion("fingers", 1)]
    assert serving.observer.reloads[-1] == ("fingers", "failed", "resource")


async def test_old_packages_leave_the_disk(serving: ServingModels, tmp_path: Path) -> None:
    manager = serving.manager(limit=1, keep=2)
    for _ in range(5):
        serving.register("champion")
        await manager.watcher.poll()
    kept = sorted(path.name.split("-")[0] for path in (tmp_path / "cache" / "fingers").iterdir())
    assert kept == ["4", "5"]


# Other versions are loaded when they are asked for.


async def test_any_version_or_alias_can_be_asked_for(serving: ServingModels) -> None:
    serving.register()
    serving.register("champion")
    serving.register("challenger")
    manager = serving.manager()
    await manager.watcher.poll()
    assert keys(manager) == [ModelVersion("fingers", 2)]
    assert (await manager.find(ModelRef("fingers", version=1))).model_version.version == 1
    assert (await manager.find(ModelRef(alias="challenger"))).model_version.version == 3
    assert manager.ready() == [ModelVersion("fingers", 2)]
    with pytest.raises(UnknownModelError, match="model fingers has no version 9: it has 1, 2, 3"):
        await manager.find(ModelRef("fingers", version=9))


async def test_a_version_is_loaded_once_for_all_who_ask(serving: ServingModels) -> None:
    serving.register("champion")
    serving.register()
    manager = serving.manager()
    await manager.watcher.poll()
    found = await asyncio.gather(*(manager.find(ModelRef("fingers", version=2)) for _ in range(20)))
    assert len({id(loaded) for loaded in found}) == 1
    assert serving.downloads == 2


async def test_a_request_may_come_before_the_first_load_ends(serving: ServingModels) -> None:
    serving.register("champion")
    manager = serving.manager()
    polling = asyncio.ensure_future(manager.watcher.poll())
    while not manager.catalog.models:
        await asyncio.sleep(0)
    assert (await manager.find(ModelRef())).model_version == ModelVersion("fingers", 1)
    await polling
    assert len(serving.opened) == 1


async def test_no_more_models_than_allowed_stay_in_memory(serving: ServingModels) -> None:
    serving.register("champion")
    for _ in range(4):
        serving.register()
    manager = serving.manager(limit=2)
    await manager.watcher.poll()
    for version in (2, 3, 4, 5):
        with leased(manager.store, await manager.find(ModelRef("fingers", version=version))):
            assert len(manager.store) <= 3
            assert manager.store.get(ModelVersion("fingers", version))
    assert keys(manager) == [ModelVersion("fingers", 1), ModelVersion("fingers", 5)]
    assert manager.ready() == [ModelVersion("fingers", 1)]


async def test_champions_without_room_are_loaded_when_they_are_asked_for(serving: ServingModels) -> None:
    for name in ("a", "b", "c", "fingers"):
        serving.register("champion", name=name)
    manager = serving.manager(limit=2)
    await manager.watcher.poll()
    assert keys(manager) == [ModelVersion("a", 1), ModelVersion("fingers", 1)]
    with leased(manager.store, await manager.find(ModelRef("c"))):
        pass
    assert keys(manager) == [ModelVersion("c", 1), ModelVersion("fingers", 1)], "the default model's champion stays"
    assert manager.ready() == [ModelVersion("c", 1), ModelVersion("fingers", 1)]


async def test_only_chosen_models_are_served(serving: ServingModels) -> None:
    serving.register("champion")
    serving.register("champion", name="leaves")
    manager = serving.manager(served=("leaves",))
    await manager.watcher.poll()
    assert manager.ready() == [ModelVersion("leaves", 1)]
    with pytest.raises(UnknownModelError, match="there is no model fingers: there is leaves"):
        await manager.find(FINGERS)


async def test_stopping_does_not_wait_for_a_registry_that_hangs(serving: ServingModels) -> None:
    serving.register("champion")
    serving.mlflow.delay = 3
    manager = serving.manager()
    manager.start(0.01)
    await asyncio.sleep(0.05)
    hanging = [thread for thread in threading.enumerate() if thread.name.startswith("handful-")]
    assert hanging
    assert all(thread.daemon for thread in hanging)  # Nor does the end of the process wait for it.
    async with asyncio.timeout(1):
        await manager.stop()


async def test_a_slow_mlflow_makes_no_answer_slow(serving: ServingModels) -> None:
    serving.register("champion")
    manager = serving.manager()
    await manager.watcher.poll()
    serving.mlflow.delay = 1.0
    polling = asyncio.ensure_future(manager.watcher.poll())
    await asyncio.sleep(0)
    predictor = serving.predictor(manager)
    for _ in range(20):
        assert (await predictor.predict(encode(picture({(2, 3): "5"})), ModelRef())).prediction.count == 5
    assert not polling.done(), "twenty answers took less time than one of MLflow's"
    serving.mlflow.delay = 0
    await polling
    predictor.close()


@pytest.mark.parametrize("now", [0.0, 4e9])
async def test_a_clock_that_jumps_changes_nothing(
    serving: ServingModels, monkeypatch: pytest.MonkeyPatch, now: float
) -> None:
    serving.register("champion")
    manager = serving.manager()
    await manager.watcher.poll()
    monkeypatch.setattr("time.time", lambda: now)
    serving.register("champion")
    await manager.watcher.poll()
    assert manager.ready() == [ModelVersion("fingers", 2)]
    again = serving.manager()
    serving.mlflow.away = True
    await again.watcher.poll()
    assert again.ready() == [ModelVersion("fingers", 2)]


async def test_a_full_disk_costs_no_model_and_passes(serving: ServingModels, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    serving.register("champion")
    manager = serving.manager()
    await manager.watcher.poll()
    real = manager.dependencies.cache.install

    def full(*_: object) -> object:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(manager.dependencies.cache, "install", full)
    serving.register("champion")
    await manager.watcher.poll()
    assert manager.ready() == [ModelVersion("fingers", 1)]
    assert serving.observer.reloads[-1] == ("fingers", "failed", "resource")
    failure = manager.load_failures.get(ModelVersion("fingers", 2))
    assert failure is not None
    assert "No space left on device" in failure.reason
    monkeypatch.setattr(manager.dependencies.cache, "install", real)
    manager.load_failures.forget("fingers")  # Half a minute goes by.
    await manager.watcher.poll()
    assert manager.ready() == [ModelVersion("fingers", 2)]


async def test_a_disk_that_is_full_is_named_and_tried_again(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        serving = ServingModels(disk)
        serving.register("champion")
        ballast = fill(disk)
        manager = serving.manager()
        await manager.watcher.poll()
        assert not_ready(manager) == (
            "the champion fingers version 1 cannot be loaded now (the disk of the package cache is full "
            "(No space left on device)): make room there, it is tried again every 30 s"
        )
        with pytest.raises(RefusedModelError, match="cannot be loaded now") as caught:
            await manager.find(FINGERS)
        assert caught.value.reason_kind == "resource"
        ballast.unlink()
        pass_time(manager, loader.FAILED_SECONDS)
        await manager.watcher.poll()
        assert manager.ready() == [ModelVersion("fingers", 1)]


# A model that takes long holds up no other one.


async def test_a_model_that_hangs_holds_up_neither_others_nor_the_next_poll(serving: ServingModels) -> None:
    serving.register("champion", name="ants")
    serving.register("champion", name="bees")
    manager = serving.manager()
    go = threading.Event()

    def tries(folder: Path) -> Mapping[str, int]:
        if "ants" in str(folder):
            go.wait(60)
        return {}

    manager.dependencies = replace(manager.dependencies, probe=tries)
    manager._loader._dependencies = manager.dependencies
    manager.start(0.01)
    try:
        async with asyncio.timeout(30):
            while "bees" not in manager.catalog.champions:
                await asyncio.sleep(0.01)
            second = serving.register(name="bees")
            assert await manager.promote("bees", second) == 2
            assert manager.catalog.champions == {"bees": 2}
            serving.register("champion", name="cats")
            while "cats" not in manager.catalog.champions:
                await asyncio.sleep(0.01)
            go.set()
            while "ants" not in manager.catalog.champions:
                await asyncio.sleep(0.01)
    finally:
        go.set()
        await manager.stop()


async def test_an_alias_that_goes_elsewhere_meanwhile_is_followed_there(serving: ServingModels) -> None:
    """The first version that hung comes to its end later, and does not take over."""
    serving.register("champion")
    manager = serving.manager()
    await manager.watcher.poll()
    go = threading.Event()
    serving.on_open = lambda folder: go.wait(60) and None if "/2-" in str(folder) else None
    manager._loader._alone = _without_waiting  # type: ignore[method-assign]
    serving.register("champion")
    hangs = asyncio.ensure_future(manager.watcher.poll())
    while len(serving.opened) < 2:
        await asyncio.sleep(0.01)
    third = serving.register("champion")
    followed = asyncio.ensure_future(manager.watcher.poll())
    while manager.catalog.champions != {"fingers": third}:
        await asyncio.sleep(0.01)
    go.set()
    await asyncio.gather(hangs, followed)
    assert manager.catalog.champions == {"fingers": third}
    assert manager.store.get(ModelVersion("fingers", 2)), "it was loaded, and does not answer"


@asynccontextmanager
async def _without_waiting() -> AsyncIterator[bool]:
    yield False


async def test_what_a_package_took_in_its_first_run_counts_if_it_is_not_opened_alone(
    serving: ServingModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "_OPENING_SECONDS", 0.05)
    serving.register("champion", name="ants")
    serving.register("champion", name="bees")
    manager = serving.manager()
    go, ants_open = threading.Event(), threading.Event()

    def probe(folder: Path) -> dict[str, int]:
        assert "bees" not in str(folder) or ants_open.wait(60), "the bees come second"
        return {"onnxruntime": 123_456_789}

    def on_open(folder: Path) -> None:
        if "ants" in str(folder):
            ants_open.set()
            go.wait(60)

    manager.dependencies = replace(manager.dependencies, probe=probe)
    manager._loader._dependencies = manager.dependencies
    serving.on_open = on_open
    polling = asyncio.ensure_future(manager.watcher.poll())
    while "bees" not in manager.catalog.champions:
        await asyncio.sleep(0.01)
    go.set()
    await polling
    assert [loaded.memory for loaded in manager.store if loaded.model_version.name == "bees"] == [123_456_789]
