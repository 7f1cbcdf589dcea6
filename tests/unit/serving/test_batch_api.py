from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from fakes.packages import build_package, encode, filled, picture
from fakes.registry import FakeMlflow
from handful_core.vision.decode import decode_image
from handful_serving.api.schemas import BatchAnswer, PredictionAnswer
from support.serving_app import make_app, running

pytestmark = pytest.mark.anyio
FIVE, TWO = encode(picture({(2, 3): "5"})), encode(picture({(1, 1): "2"}))


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    mlflow = FakeMlflow()
    mlflow.register(build_package(tmp_path / "one"), aliases=["champion"])
    mlflow.register(build_package(tmp_path / "leaves", "logits", name="leaves"), "leaves", ["champion"])
    async with running(make_app(tmp_path, mlflow, max_batch=4, queue_size=1)) as asking:
        yield asking


def files(*contents: bytes) -> list[tuple[str, tuple[str, bytes]]]:
    return [("images", (f"{number}.png", content)) for number, content in enumerate(contents)]


async def test_each_image_has_its_answer_or_its_problem(client: httpx.AsyncClient) -> None:
    response = await client.post("/predict/batch", files=files(FIVE, b"no image", TWO, b""), data={"confidence": "0.5"})
    assert response.status_code == 200
    answer = response.json()
    assert answer["failed"] == 2
    assert [item["index"] for item in answer["results"]] == [0, 1, 2, 3]
    assert [item["file"] for item in answer["results"]] == ["0.png", "1.png", "2.png", "3.png"]
    first, second, third, fourth = answer["results"]
    assert (first["prediction"]["count"], third["prediction"]["count"]) == (5, 2)
    assert first["prediction"]["thresholds"]["confidence"] == 0.5
    assert "problem" not in first
    assert second["problem"]["type"] == fourth["problem"]["type"] == "urn:handful:problem:not-an-image"
    assert "prediction" not in second


@pytest.mark.parametrize("options", [{}, {"return_image": "true"}, {"model": "leaves"}], ids=str)
async def test_answers_are_what_the_description_says_and_no_more(
    client: httpx.AsyncClient, options: dict[str, str]
) -> None:
    one = (await client.post("/predict", params=options, files={"image": FIVE})).json()
    assert PredictionAnswer.model_validate(one).model_dump(mode="json", by_alias=True, exclude_unset=True) == one
    several = (await client.post("/predict/batch", params=options, files=files(FIVE, b"no image"))).json()
    assert BatchAnswer.model_validate(several).model_dump(mode="json", by_alias=True, exclude_unset=True) == several


async def test_a_batch_has_a_limit_and_a_model(client: httpx.AsyncClient) -> None:
    assert (await client.post("/predict/batch", files=files(*[FIVE] * 5))).status_code == 400
    assert (await client.post("/predict/batch", params={"model": "nobody"}, files=files(FIVE))).status_code == 404
    assert (await client.post("/predict/batch", files=files(b"", b""))).status_code == 400


@pytest.mark.parametrize("annotate", [False, True])
async def test_the_picture_comes_back(client: httpx.AsyncClient, annotate: bool) -> None:
    pixels = picture({(2, 3): "unknown"})  # White, and as large as a JPEG's blocks: it comes back as it was.
    options = {"return_image": "true", "annotate": str(annotate).lower()}
    response = await client.post("/predict", params=options, files={"image": encode(pixels)})
    head, _, data = response.json()["picture"].partition(",")
    assert head == "data:image/jpeg;base64"
    returned = decode_image(base64.b64decode(data))
    assert returned.shape == pixels.shape
    changed = np.abs(returned.astype(int) - pixels).max(axis=2) > 60
    assert changed.any() == annotate
    assert "draw" in response.json()["timings_ms"]
    plain = await client.post("/predict", files={"image": encode(pixels)})
    assert "picture" not in plain.json()


async def test_a_classifiers_first_class_is_drawn_in(client: httpx.AsyncClient) -> None:
    options = {"return_image": "true", "annotate": "true", "model": "leaves"}
    response = await client.post("/predict", params=options, files={"image": encode(filled("3"))})
    assert response.json()["picture"].startswith("data:image/jpeg")


async def test_pixels_of_a_large_photo_come_back_as_they_were_sent(client: httpx.AsyncClient) -> None:
    """Decoding small is only for what nobody looks at; boxes are in pixels of the image that was sent either way."""
    large = encode(np.kron(picture({(2, 3): "5"}), np.ones((16, 16, 1), np.uint8)), ".jpg")
    small = await client.post("/predict", files={"image": large})
    whole = await client.post("/predict", params={"return_image": "true"}, files={"image": large})
    for answer in (small.json(), whole.json()):
        assert answer["image"] == {"width": 1024, "height": 1024}
        assert answer["detections"][0]["box"] == pytest.approx([256, 384, 384, 512], abs=10)
    returned = decode_image(base64.b64decode(whole.json()["picture"].partition(",")[2]))
    assert returned.shape == (1024, 1024, 3)


async def test_the_pictures_of_a_batch_are_bounded(tmp_path: Path) -> None:
    large = encode(np.zeros((2000, 3000, 3), np.uint8))  # 20 KB; its picture has 90.
    mlflow = FakeMlflow()
    mlflow.register(build_package(tmp_path / "one"), aliases=["champion"])
    async with running(make_app(tmp_path, mlflow, max_batch=4, max_body_bytes=200_000)) as client:
        four = files(large, large, large, large)
        assert (await client.post("/predict/batch", files=four)).json()["failed"] == 0
        answer = (await client.post("/predict/batch", files=four, data={"return_image": "true"})).json()
        assert 0 < answer["failed"] < 4
        assert "the pictures of this batch are more than 0.2 MB" in str(answer["results"])
