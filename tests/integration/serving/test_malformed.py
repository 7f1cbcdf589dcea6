"""Whatever is sent as an image, serving answers, keeps its memory, and goes on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import httpx
import pytest

from fakes.malformed import malformed, odd_images
from fakes.packages import build_package, encode, picture
from fakes.registry import FakeMlflow
from handful_serving.adapters.memory import resident
from support.serving_app import make_app, running

pytestmark = pytest.mark.anyio
_GROWTH = 80_000_000
"""Bytes by which memory may be larger after many images than after the first hundreds: allocators keep some."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def mlflow(tmp_path: Path) -> FakeMlflow:
    fake = FakeMlflow()
    fake.register(build_package(tmp_path / "one"), aliases=["champion"])
    return fake


async def send(client: httpx.AsyncClient, data: bytes) -> int:
    response = await client.post("/predict", content=data, headers={"Content-Type": "image/jpeg"})
    if response.status_code != 200:
        assert response.headers["content-type"] == "application/problem+json"
    return response.status_code


async def bombard(folder: Path, mlflow: FakeMlflow, number: int) -> Counter[int]:
    app = make_app(folder, mlflow, face_blur="centerface", max_pixels=4_000_000)
    statuses: Counter[int] = Counter()
    async with running(app) as client:
        for data in malformed(100, seed=1):
            await send(client, data)
        before = resident()
        for data in malformed(number):
            statuses[await send(client, data)] += 1
        assert resident() - before < _GROWTH
        hand = encode(picture({(2, 3): "5"}))
        answer = await client.post("/predict", content=hand, headers={"Content-Type": "image/png"})
        assert answer.json()["count"] == 5
    return statuses


async def test_three_hundred_malformed_images(tmp_path: Path, mlflow: FakeMlflow) -> None:
    statuses = await bombard(tmp_path, mlflow, 300)
    assert not [status for status in statuses if status >= 500]
    assert min(statuses[200], statuses[415], statuses[422]) > 10, "all kinds were there"


@pytest.mark.slow
async def test_ten_thousand_malformed_images(tmp_path: Path, mlflow: FakeMlflow) -> None:
    statuses = await bombard(tmp_path, mlflow, 10_000)
    assert not [status for status in statuses if status >= 500]


@pytest.mark.parametrize("name", sorted(odd_images()))
async def test_odd_images_are_answered_or_refused(tmp_path: Path, mlflow: FakeMlflow, name: str) -> None:
    refused = {"float tiff": 415, "bomb": 413, "small bomb": 413, "nothing": 400, "text": 415}
    async with running(make_app(tmp_path, mlflow, max_pixels=4_000_000)) as client:
        assert await send(client, odd_images()[name]) == refused.get(name, 200)
