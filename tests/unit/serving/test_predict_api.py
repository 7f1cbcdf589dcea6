from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from fakes.packages import build_package, damage, encode, filled, picture
from fakes.registry import FakeMlflow
from support.serving_app import make_app, running

pytestmark = pytest.mark.anyio

HAND = encode(picture({(2, 3): "5", (0, 0): "unknown"}))
PNG = {"Content-Type": "image/png"}
BODY_LIMIT, PIXEL_LIMIT = 100_000, 10_000


@pytest.fixture
def mlflow(tmp_path: Path) -> FakeMlflow:
    fake = FakeMlflow()
    fake.register(build_package(tmp_path / "one"), aliases=["champion"])
    fake.register(build_package(tmp_path / "two", "nms_free", sharpness=8.0), aliases=["challenger"])
    fake.register(build_package(tmp_path / "leaves", "probabilities", name="leaves"), "leaves", ["champion"])
    return fake


@pytest.fixture
async def client(tmp_path: Path, mlflow: FakeMlflow) -> AsyncIterator[httpx.AsyncClient]:
    app = make_app(tmp_path, mlflow, max_body_bytes=BODY_LIMIT, max_pixels=PIXEL_LIMIT, queue_size=100)
    async with running(app) as asking:
        yield asking


def problem(response: httpx.Response, status: int, kind: str) -> str:
    """What the problem says, after a look at its form."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert set(body) == {"type", "title", "status", "detail", "instance", "request_id"}
    assert body["status"] == status
    assert body["type"] == f"urn:handful:problem:{kind}"
    assert body["instance"] == response.request.url.path
    assert body["request_id"] == response.headers["x-request-id"]
    return str(body["detail"])


async def test_an_image_is_answered(client: httpx.AsyncClient) -> None:
    response = await client.post("/predict", files={"image": ("hand.png", HAND)})
    assert response.status_code == 200
    answer = response.json()
    timings = answer.pop("timings_ms")
    assert answer == {
        "model": "fingers",
        "version": 1,
        "task": "detect",
        "count": 5,
        "detections": [
            {"class": 6, "name": "unknown", "confidence": 0.9526, "box": [0, 0, 8, 8]},
            {"class": 5, "name": "5", "confidence": 0.9526, "box": [16, 24, 24, 32]},
        ],
        "image": {"width": 64, "height": 64},
        "thresholds": {"confidence": 0.25, "iou": 0.7},
        "faces": 0,
        "request_id": response.headers["x-request-id"],
    }
    assert set(timings) == {"queue", "decode", "blur", "preprocess", "inference", "postprocess", "total"}
    assert all(milliseconds >= 0 for milliseconds in timings.values())
    stages = [timings[stage] for stage in timings if stage != "total"]
    assert timings["total"] >= sum(stages) - 0.01


@pytest.mark.parametrize(
    "request_options",
    [
        {"files": {"file": HAND}},
        {"files": {"whatever": ("a.bin", HAND, "application/octet-stream")}},
        {"files": [("image", HAND), ("image", b"")], "data": {"iou": ""}},
        {"content": HAND, "headers": PNG},
        {"content": HAND, "headers": {"Content-Type": "image/jpeg; charset=binary"}},
        {"content": HAND, "headers": {"Content-Type": "application/octet-stream"}},
        {"content": HAND},
    ],
)
@pytest.mark.parametrize("path", ["/predict", "/api/predict"])
async def test_an_image_may_come_in_many_ways(
    client: httpx.AsyncClient, path: str, request_options: dict[str, Any]
) -> None:
    response = await client.post(path, **request_options)
    assert response.status_code == 200, response.text
    assert response.json()["count"] == 5


async def test_a_body_that_comes_in_pieces_is_read(client: httpx.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(HAND), 50):
            yield HAND[start : start + 50]

    response = await client.post("/predict", content=pieces(), headers=PNG)
    assert response.json()["count"] == 5


@pytest.mark.parametrize(
    ("options", "model", "version"),
    [
        ({"version": 2}, "fingers", 2),
        ({"alias": "challenger"}, "fingers", 2),
        ({"model": "fingers", "version": 1}, "fingers", 1),
        ({"model": "leaves"}, "leaves", 1),
    ],
)
@pytest.mark.parametrize("place", ["params", "data"])
async def test_query_and_form_choose_the_model(
    client: httpx.AsyncClient, options: dict[str, Any], model: str, version: int, place: str
) -> None:
    response = await client.post("/predict", files={"image": HAND}, **{place: options})
    assert (response.json()["model"], response.json()["version"]) == (model, version)


async def test_the_query_counts_more_than_the_form(client: httpx.AsyncClient) -> None:
    response = await client.post("/predict?version=1", files={"image": HAND}, data={"version": "2", "iou": "0.5"})
    answer = response.json()
    assert (answer["version"], answer["thresholds"]["iou"]) == (1, 0.5)


@pytest.mark.parametrize("place", ["params", "data"])
async def test_thresholds_are_used_and_told(client: httpx.AsyncClient, place: str) -> None:
    response = await client.post("/predict", files={"image": HAND}, **{place: {"confidence": "0.96", "iou": "0.3"}})
    answer = response.json()
    assert answer["detections"] == []
    assert answer["count"] == 0
    assert answer["thresholds"] == {"confidence": 0.96, "iou": 0.3}


async def test_a_classifier_answers_probabilities(client: httpx.AsyncClient) -> None:
    answer = (await client.post("/predict?model=leaves", content=encode(filled("3")), headers=PNG)).json()
    assert (answer["task"], answer["count"], answer["detections"]) == ("classify", None, [])
    assert answer["probabilities"][0]["name"] == "3"
    assert [set(item) for item in answer["probabilities"]] == [{"class", "name", "probability"}] * 7
    values = [item["probability"] for item in answer["probabilities"]]
    assert values == sorted(values, reverse=True)


async def test_boxes_and_size_are_those_of_the_upright_image(client: httpx.AsyncClient) -> None:
    import io

    from PIL import Image

    stored = np.rot90(picture({(0, 0): "5"}, size=(64, 48)))  # Turned by 90 degrees against the clock.
    exif = Image.Exif()
    exif[0x0112] = 6  # To be turned by 90 degrees with the clock.
    out = io.BytesIO()
    Image.fromarray(stored[:, :, ::-1]).save(out, "PNG", exif=exif)
    answer = (await client.post("/predict", content=out.getvalue(), headers=PNG)).json()
    assert answer["image"] == {"width": 64, "height": 48}
    assert [item["box"] for item in answer["detections"]] == [[0, 0, 8, 8]]


# What is wrong is said, in one form.


@pytest.mark.parametrize("options", [{}, {"content": b"", "headers": PNG}, {"files": {"image": (None, b"")}}])
async def test_no_image(client: httpx.AsyncClient, options: dict[str, Any]) -> None:
    assert "send one in the form field image" in problem(await client.post("/predict", **options), 400, "no-image")


async def test_an_empty_file_is_named(client: httpx.AsyncClient) -> None:
    answer = await client.post("/predict", files={"image": ("hand.png", b"")}, data={"note": "x"})
    assert problem(answer, 400, "no-image") == "the file 'hand.png' is empty: send the whole image file"


async def test_a_form_without_a_file(client: httpx.AsyncClient) -> None:
    boundary = b'--b\r\nContent-Disposition: form-data; name="image"\r\n\r\ntext\r\n--b--\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    problem(await client.post("/predict", content=boundary, headers=headers), 400, "no-image")


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=b"])
@pytest.mark.parametrize("body", [b"nonsense", b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n"])
async def test_a_form_that_is_none(client: httpx.AsyncClient, kind: str, body: bytes) -> None:
    response = await client.post("/predict", content=body, headers={"Content-Type": kind})
    assert "the form cannot be read" in problem(response, 400, "bad-parameter")


@pytest.mark.parametrize(
    ("name", "value"),
    [("confidence", "2"), ("confidence", "nan"), ("confidence", "high"), ("iou", "-0.1"), ("iou", "inf"),
     ("version", "0"), ("version", "1.5"), ("version", "99999999999999999999"), ("model", "m" * 300)],
)  # fmt: skip
@pytest.mark.parametrize("place", ["params", "data"])
async def test_a_wrong_parameter_is_named(client: httpx.AsyncClient, name: str, value: str, place: str) -> None:
    response = await client.post("/predict", files={"image": HAND}, **{place: {name: value}})
    what = "parameter" if place == "params" else "form field"
    assert f"the {what} {name} is wrong" in problem(response, 400, "bad-parameter")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("conf", "conf: did you mean confidence?"),
        ("Confidence", "Confidence: did you mean confidence?"),
        ("confidence_threshold", "confidence_threshold: did you mean confidence?"),
        ("treshold", "treshold: did you mean confidence?"),
        ("iou_thres", "iou_thres: did you mean iou?"),
        ("top-k", "top-k: did you mean top?"),
        ("model_name", "model_name: did you mean model?"),
        ("verison", "verison: did you mean version?"),
        ("draw", "draw: did you mean annotate?"),
        ("note", "note: there is model, version, alias, confidence, iou, top, explain, return_image, annotate"),
        ("x" * 100, "x" * 60 + "…: there is model"),
        ("é€", "é€: there is model"),
    ],
)
@pytest.mark.parametrize("place", ["params", "data"])
async def test_an_unknown_parameter_is_refused_with_the_one_that_was_meant(
    client: httpx.AsyncClient, name: str, words: str, place: str
) -> None:
    response = await client.post("/predict", files={"image": HAND}, **{place: {name: "0.9"}})
    what = "parameter" if place == "params" else "form field"
    assert f"there is no {what} {words}" in problem(response, 400, "bad-parameter")


async def test_a_parameter_that_is_given_twice_is_refused(client: httpx.AsyncClient) -> None:
    response = await client.post("/predict?iou=0.5&confidence=0.3&confidence=0.9", content=HAND, headers=PNG)
    assert "the parameter confidence is given twice" in problem(response, 400, "bad-parameter")
    same = await client.post("/predict?confidence=0.3&confidence=0.3", content=HAND, headers=PNG)
    assert same.json()["thresholds"]["confidence"] == 0.3


async def test_one_of_several_images_is_not_chosen(client: httpx.AsyncClient) -> None:
    """A mask that stands before the photo would be answered in its place."""
    response = await client.post("/predict", files=[("mask", HAND), ("image", HAND)])
    words = problem(response, 400, "bad-parameter")
    assert words == "the form has 2 files, and one image is answered: send one, or all to /predict/batch"


@pytest.mark.parametrize("place", ["params", "data"])
async def test_version_and_alias_exclude_each_other(client: httpx.AsyncClient, place: str) -> None:
    response = await client.post("/predict", files={"image": HAND}, **{place: {"version": "1", "alias": "champion"}})
    assert "give version or alias, not both" in problem(response, 400, "bad-parameter")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": "nobody"}, "there is no model nobody: there is fingers, leaves"),
        ({"version": 9}, "model fingers has no version 9: it has 1, 2"),
        ({"alias": "best"}, "model fingers has no alias best: it has challenger, champion"),
    ],
)
async def test_what_is_not_there_is_said_with_what_is(
    client: httpx.AsyncClient, options: dict[str, Any], words: str
) -> None:
    response = await client.post("/predict", content=HAND, headers=PNG, params=options)
    assert problem(response, 404, "unknown-model") == words


async def test_a_body_that_is_announced_too_large_is_not_read(client: httpx.AsyncClient) -> None:
    read = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(10):
            read += 1
            yield b"x" * 20_000

    headers = {**PNG, "Content-Length": "200000"}
    response = await client.post("/predict", content=pieces(), headers=headers)
    assert "larger than 0.1 MB" in problem(response, 413, "body-too-large")
    assert read == 0


@pytest.mark.parametrize("content_length", [None, "5"])
async def test_a_body_that_grows_too_large_is_given_up(client: httpx.AsyncClient, content_length: str | None) -> None:
    """Sent in chunks, or announced as less than it is."""
    read = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(100):
            read += 1
            yield b"x" * 20_000

    headers = PNG | ({"Content-Length": content_length} if content_length else {})
    response = await client.post("/predict", content=pieces(), headers=headers)
    problem(response, 413, "body-too-large")
    assert read <= 7


async def test_a_form_counts_as_a_whole(client: httpx.AsyncClient) -> None:
    files = [("image", HAND)] + [("image", b"x" * 30_000)] * 4
    problem(await client.post("/predict", files=files), 413, "body-too-large")


async def test_too_many_pixels(client: httpx.AsyncClient) -> None:
    large = encode(np.zeros((101, 100, 3), np.uint8))
    problem(await client.post("/predict", content=large, headers=PNG), 413, "image-too-large")


@pytest.mark.parametrize("content", [b"hello", b"%PDF-1.7" + b"x" * 100, b"<html></html>"])
async def test_not_an_image(client: httpx.AsyncClient, content: bytes) -> None:
    words = problem(await client.post("/predict", content=content, headers=PNG), 415, "not-an-image")
    assert "send one of JPEG, PNG" in words


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/x-www-form-urlencoded", "video/mp4"])
async def test_a_type_that_is_no_image(client: httpx.AsyncClient, kind: str) -> None:
    response = await client.post("/predict", content=HAND, headers={"Content-Type": kind})
    assert f"the body's type is {kind}" in problem(response, 415, "not-an-image")


async def test_a_damaged_image(client: httpx.AsyncClient) -> None:
    response = await client.post("/predict", content=HAND[:100], headers=PNG)
    assert "damaged" in problem(response, 422, "damaged-image")


async def test_a_refused_version(client: httpx.AsyncClient, mlflow: FakeMlflow, tmp_path: Path) -> None:
    package = build_package(tmp_path / "bad")
    damage(package.root, "golden")
    version = mlflow.register(package)
    for _ in range(2):
        response = await client.post("/predict", content=HAND, headers=PNG, params={"version": version})
        words = problem(response, 503, "model-refused")
        assert "fingers version 3 cannot be served" in words
        assert "golden image" in words


async def test_no_model(tmp_path: Path) -> None:
    app = make_app(tmp_path, FakeMlflow())
    async with running(app, ready=False) as client:
        problem(await client.post("/predict", content=HAND, headers=PNG), 503, "unavailable")


async def test_an_unexpected_error_is_a_problem_too(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("handful_serving.domain.predictor.decode_reduced", broken)
    response = await client.post("/predict", content=HAND, headers=PNG | {"X-Request-ID": "mine"})
    words = problem(response, 500, "internal")
    assert "ZeroDivisionError" in words
    assert "secret" not in words
    assert "POST /predict failed with ZeroDivisionError" in caplog.text


async def test_many_at_once_get_their_own_answers(client: httpx.AsyncClient) -> None:
    async def ask(number: int) -> bool:
        content = encode(picture({(number % 8, number // 8): "1"}))
        answer = (await client.post("/predict", content=content, headers=PNG)).json()
        left, top = answer["detections"][0]["box"][:2]
        return (left, top) == (number % 8 * 8, number // 8 * 8)

    assert all(await asyncio.gather(*(ask(number) for number in range(64))))


async def test_an_image_does_not_hold_up_the_others(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    release = threading.Event()
    real = __import__("handful_core.vision.decode", fromlist=["decode_reduced"]).decode_reduced

    def slow(*arguments: object) -> object:
        release.wait(10)
        return real(*arguments)

    monkeypatch.setattr("handful_serving.domain.predictor.decode_reduced", slow)
    predicting = asyncio.ensure_future(client.post("/predict", content=HAND, headers=PNG))
    await asyncio.sleep(0.05)
    assert (await client.get("/health/live")).status_code == 200
    assert not predicting.done()
    release.set()
    assert (await predicting).status_code == 200
