"""Bodies with a Content-Encoding, and images that come as text."""

from __future__ import annotations

import base64
import gzip
import json
import time
import urllib.parse
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.packages import build_package, encode, picture
from fakes.registry import FakeMlflow
from handful_core.vision.decode import ImageError
from handful_serving.api.content_encoding import unpacker
from handful_serving.api.image_text import as_image
from handful_serving.errors import BadRequestError
from support.serving_app import make_app, running

pytestmark = pytest.mark.anyio

HAND = encode(picture({(2, 3): "5"}))
BODY_LIMIT = 100_000


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    mlflow = FakeMlflow()
    mlflow.register(build_package(tmp_path / "one"), aliases=["champion"])
    async with running(make_app(tmp_path, mlflow, max_body_bytes=BODY_LIMIT)) as asking:
        yield asking


def raw_deflate(data: bytes) -> bytes:
    """Deflate without zlib's header, as some clients send it."""
    packing = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packing.compress(data) + packing.flush()


def detail(response: httpx.Response, status: int, kind: str) -> str:
    assert response.status_code == status, response.text
    assert response.json()["type"] == f"urn:handful:problem:{kind}"
    return str(response.json()["detail"])


async def send(client: httpx.AsyncClient, data: bytes, coding: str, **headers: str) -> httpx.Response:
    named = {"Content-Type": "image/png", "Content-Encoding": coding} | headers
    return await client.post("/predict", content=data, headers=named)


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", gzip.compress(HAND)),
        ("GZip ", gzip.compress(HAND)),
        ("x-gzip", gzip.compress(HAND)),
        ("gzip, identity", gzip.compress(HAND)),
        ("gzip", gzip.compress(HAND[:90]) + gzip.compress(b"") + gzip.compress(HAND[90:]) + bytes(100)),
        ("deflate", zlib.compress(HAND)),
        ("deflate", raw_deflate(HAND)),
        ("identity", HAND),
        ("", HAND),
    ],
)
@pytest.mark.parametrize("step", [1, 1000])
async def test_a_packed_image_is_unpacked(client: httpx.AsyncClient, coding: str, packed: bytes, step: int) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(packed), step):
            yield packed[start : start + step]

    headers = {"Content-Type": "image/png", "Content-Encoding": coding}
    response = await client.post("/predict", content=pieces(), headers=headers)
    assert response.json()["count"] == 5


async def test_a_packed_form_and_packed_json_are_read(client: httpx.AsyncClient) -> None:
    form = httpx.Request("POST", "http://x", files={"image": HAND}, data={"confidence": "0.5"})
    headers = {"Content-Type": form.headers["content-type"], "Content-Encoding": "gzip"}
    answer = (await client.post("/predict", content=gzip.compress(form.read()), headers=headers)).json()
    assert (answer["count"], answer["thresholds"]["confidence"]) == (5, 0.5)
    image = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [base64.b64encode(HAND).decode()]}
    content = gzip.compress(json.dumps({"inputs": [image]}).encode())
    packed = {"Content-Encoding": "gzip"}
    answer = (await client.post("/v2/models/fingers/infer", content=content, headers=packed)).json()
    assert answer["outputs"][-1]["data"] == [5]


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, gzip", "deflate, gzip", "x" * 60])
async def test_another_encoding_is_refused_by_name(client: httpx.AsyncClient, coding: str) -> None:
    response = await send(client, HAND, coding)
    assert f"the body's Content-Encoding is {coding}" in detail(response, 415, "unknown-encoding")
    assert response.headers["accept-encoding"] == "gzip, deflate"


async def test_a_transfer_encoding_is_refused_by_name(client: httpx.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield gzip.compress(HAND)

    headers = {"Content-Type": "image/png", "Transfer-Encoding": "gzip, chunked"}
    response = await client.post("/predict", content=pieces(), headers=headers)
    assert "the body's Transfer-Encoding is gzip, chunked" in detail(response, 415, "unknown-encoding")


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", HAND),
        ("gzip", zlib.compress(HAND)),
        ("gzip", gzip.compress(HAND)[:-9]),
        ("gzip", gzip.compress(HAND)[:-1]),
        ("gzip", gzip.compress(HAND)[:-8] + bytes(8)),
        ("gzip", gzip.compress(HAND) + b"more"),
        ("gzip", gzip.compress(HAND) + b"m"),
        ("gzip", b"\x1f"),
        ("gzip", b""),
        ("deflate", HAND),
        ("deflate", zlib.compress(HAND)[:-1]),
        ("deflate", zlib.compress(HAND) + zlib.compress(HAND)),
        ("deflate", raw_deflate(HAND) + b"more"),
    ],
)
async def test_what_is_not_packed_as_it_says_is_refused(client: httpx.AsyncClient, coding: str, packed: bytes) -> None:
    words = detail(await send(client, packed, coding), 400, "bad-parameter")
    assert f"the body is not whole {coding} data" in words


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_bomb_ends_at_the_bodys_limit(client: httpx.AsyncClient, coding: str) -> None:
    data = bytes(30_000_000)
    packed = gzip.compress(data, 1) if coding == "gzip" else zlib.compress(data, 1)
    bomb = packed[:90_000]
    began = time.process_time()
    assert "larger than 0.1 MB" in detail(await send(client, bomb, coding), 413, "body-too-large")
    assert time.process_time() - began < 0.5
    assert (await send(client, gzip.compress(HAND), "gzip")).json()["count"] == 5, "its bytes are given back"


async def test_packed_bytes_count_too(client: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        nothing = b"\0\0\0\xff\xff" * 10_000  # Empty blocks of deflate.
        yield b"\x78\x9c"
        for _ in range(100):
            yield nothing

    headers = {"Content-Type": "image/png", "Content-Encoding": "deflate"}
    detail(await client.post("/predict", content=endless(), headers=headers), 413, "body-too-large")
    members = gzip.compress(b"") * 4000
    assert "there is more behind its end" in detail(await send(client, members, "gzip"), 400, "bad-parameter")


@given(st.binary(max_size=3000), st.sampled_from(["gzip", "deflate"]), st.integers(1, 50), st.binary(max_size=4))
def test_any_data_comes_out_as_it_went_in(data: bytes, coding: str, step: int, noise: bytes) -> None:
    packed = gzip.compress(data) if coding == "gzip" else zlib.compress(data)
    for content in (packed, packed[:step] + noise + packed[step + len(noise) :]):
        reading = unpacker(coding)
        assert reading is not None
        try:
            pieces = [b"".join(reading.unpack(content[at : at + step])) for at in range(0, len(content), step)]
            reading.finish()
        except BadRequestError:
            assert content != packed
        else:
            assert b"".join(pieces) == data


TEXT = base64.b64encode(HAND)
URI = b"data:image/png;base64," + TEXT


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        TEXT.rstrip(b"="),
        base64.encodebytes(HAND),
        base64.urlsafe_b64encode(HAND),
        b"\r\n " + TEXT + b"\n",
        URI,
        URI.replace(b"data", b"DATA"),
        URI.replace(b"image/png", b""),
        URI.replace(b"image/png", b"text/plain;charset=utf-8"),
        URI.replace(b"=", b"%3D").replace(b"+", b"%2B"),
        b"data:image/png," + urllib.parse.quote_from_bytes(HAND).encode(),
    ],
)
@pytest.mark.parametrize("way", ["field", "file", "body", "mail"])
async def test_an_image_may_come_as_text(client: httpx.AsyncClient, text: bytes, way: str) -> None:
    if way == "body":
        response = await client.post("/predict", content=text, headers={"Content-Type": "image/png"})
    elif way == "file":
        response = await client.post("/predict", files={"image": ("blob", text)})
    else:
        encoding = b"\r\nContent-Transfer-Encoding: base64" if way == "mail" and b"," not in text else b""
        head = b'--b\r\nContent-Disposition: form-data; name="image"' + encoding
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        response = await client.post("/predict", content=head + b"\r\n\r\n" + text + b"\r\n--b--\r\n", headers=headers)
    assert response.status_code == 200, response.text
    assert response.json()["count"] == 5


@pytest.mark.parametrize(
    ("text", "status", "kind", "words"),
    [
        (TEXT[:201] + b"!" + TEXT[201:], 422, "damaged-image", "the image's base64 is damaged"),
        (TEXT[:101], 422, "damaged-image", "the image's base64 is damaged"),
        (b"data:image/png;base64", 422, "damaged-image", "the data URI has no comma"),
        (b"data:text/plain,hello", 415, "not-an-image", "the file is not an image"),
        (b"data:image/png;base64," + base64.b64encode(b"%PDF-1.7"), 415, "not-an-image", "the file is PDF"),
        (TEXT[:100], 422, "damaged-image", "damaged"),
    ],
)
async def test_what_is_wrong_with_a_text_is_said(
    client: httpx.AsyncClient, text: bytes, status: int, kind: str, words: str
) -> None:
    response = await client.post("/predict", content=text, headers={"Content-Type": "image/png"})
    assert words in detail(response, status, kind)


async def test_a_damaged_text_costs_only_its_own_answer(client: httpx.AsyncClient) -> None:
    files = [("images", ("a", URI)), ("images", ("b", TEXT[:101])), ("images", ("c", TEXT))]
    answer = (await client.post("/predict/batch", files=files)).json()
    assert [item.get("prediction", {}).get("count") for item in answer["results"]] == [5, None, 5]
    assert answer["failed"] == 1


@given(st.binary(max_size=200))
def test_what_is_no_text_stays_as_it_is(data: bytes) -> None:
    """An image file in any format begins with no text that is taken for base64."""
    reading = as_image(b"\xff\xd8" + data)
    with pytest.raises(StopIteration) as ended:
        reading.send(None)
    assert ended.value.value == b"\xff\xd8" + data


@pytest.mark.parametrize(
    "data", [HAND, b"BM" + bytes(60), b"GIF89a" + bytes(60), b"RIFF\0\0\0\0WEBPVP8 ", b"II*\0", b"hi"]
)
async def test_files_are_not_taken_for_text(data: bytes) -> None:
    assert await as_image(data) is data


async def test_percent_signs_take_no_memory() -> None:
    with pytest.raises(ImageError, match="percent signs: send it as base64"):
        await as_image(b"data:image/png," + b"%89" * 100_001)


async def test_text_is_checked_to_its_end() -> None:
    with pytest.raises(ImageError):
        await as_image(TEXT + b"=A")
