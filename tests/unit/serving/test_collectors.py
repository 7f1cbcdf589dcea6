"""Gauges that are read at each scrape."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import httpx
import pytest

from fakes.packages import build_package, damage
from fakes.registry import FakeMlflow
from handful_core.errors import UnavailableError
from handful_serving.adapters import memory
from handful_serving.adapters.collectors import Container
from support.serving_app import make_app, running

pytestmark = pytest.mark.anyio


def _values(folder: Path) -> dict[str, float]:
    return {sample.name: sample.value for family in Container(folder).collect() for sample in family.samples}


@pytest.fixture
def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A container's files, of which there are none yet."""
    monkeypatch.setattr(memory, "_USED", ((tmp_path / "memory.current", "inactive_file"),))
    monkeypatch.setattr(memory, "_LIMITS", (tmp_path / "memory.max",))
    return tmp_path


def test_a_container_says_what_it_uses_without_its_page_cache(cgroup: Path) -> None:
    (cgroup / "memory.current").write_text("500000000\n")
    (cgroup / "memory.stat").write_text("anon 1\nactive_file 7\ninactive_file 120000000\n")
    (cgroup / "memory.max").write_text("1000000000\n")
    values = _values(cgroup)
    assert values["handful_memory_bytes"] == 380_000_000
    assert values["handful_memory_limit_bytes"] == 1_000_000_000
    assert values["handful_cpus"] >= 1
    disk = shutil.disk_usage(cgroup)
    assert values["handful_disk_size_bytes"] == disk.total
    assert values["handful_disk_free_bytes"] == pytest.approx(disk.free, rel=0.05)


def test_without_a_container_the_process_counts(cgroup: Path) -> None:
    assert _values(cgroup)["handful_memory_bytes"] == pytest.approx(memory.resident(), rel=0.2)


@pytest.mark.parametrize("text", ["inactive_file 600000000\n", ""])
def test_odd_statistics(cgroup: Path, text: str) -> None:
    (cgroup / "memory.current").write_text("500000000\n")
    (cgroup / "memory.stat").write_text(text)
    assert _values(cgroup)["handful_memory_bytes"] == (0 if text else 500_000_000)


def test_a_home_folder_that_is_gone_hides_nothing_else(cgroup: Path) -> None:
    values = _values(cgroup / "gone")
    assert "handful_disk_free_bytes" not in values
    assert "handful_cpus" in values


async def _pending(client: httpx.AsyncClient) -> list[str]:
    lines = (await client.get("/metrics")).text.splitlines()
    return [line for line in lines if line.startswith("handful_champion_pending{")]


async def _until_pending(client: httpx.AsyncClient, wanted: list[str]) -> None:
    async with asyncio.timeout(20):
        while await _pending(client) != wanted:
            await asyncio.sleep(0.02)


async def test_a_champion_pends_until_it_answers(tmp_path: Path) -> None:
    mlflow = FakeMlflow()
    mlflow.register(build_package(tmp_path / "one"), aliases=["champion"])
    async with running(make_app(tmp_path, mlflow)) as client:
        assert await _pending(client) == []
        bad = build_package(tmp_path / "bad")
        damage(bad.root, "golden")
        mlflow.register(bad, aliases=["champion"])
        await _until_pending(client, ['handful_champion_pending{model="fingers",reason="golden",version="2"} 1.0'])
        mlflow.register(build_package(tmp_path / "good", sharpness=8.0), aliases=["champion"])
        await _until_pending(client, [])


async def test_a_champion_that_cannot_be_fetched_pends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = FakeMlflow()
    mlflow.register(build_package(tmp_path / "one"), aliases=["champion"])
    app = make_app(tmp_path, mlflow)

    def away(*_: object) -> None:
        raise UnavailableError("the store is away", "wait")

    async with running(app) as client:
        registry = app.state.serving.manager.dependencies.registry
        monkeypatch.setattr(registry, "download_package", away)
        mlflow.register(build_package(tmp_path / "two", sharpness=8.0), aliases=["champion"])
        await _until_pending(client, ['handful_champion_pending{model="fingers",reason="loading",version="2"} 1.0'])
