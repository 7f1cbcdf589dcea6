"""Any body that a client may send: the right image is answered, or the request is refused, and never with a 500."""

from __future__ import annotations

import base64
import gzip
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes.packages import build_package, encode, picture
from fakes.registry import FakeMlflow
from support.serving_app import make_app, running

pytestmark = pytest.mark.anyio

HANDS = {number: encode(picture({(2, 3): str(number)})) for number in range(1, 6)}
# One application for all examples: they differ in what is sent.
many = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    mlflow = FakeMlflow()
    mlflow.register(build_package(tmp_path / "one"), aliases=["champion"])
    async with running(make_app(tmp_path, mlflow, max_body_bytes=100_000)) as asking:
        yield asking


@dataclass(frozen=True)
class Part:
    """A part of a form, and what it means."""

    head: bytes
    content: bytes
    image: int = 0
    """The number in its image; 0 if it has none."""
    is_wrong: bool = False
    """The form with it has to be refused."""


def _disposition(name: str, file_name: str | None, way: str) -> str:
    quoted = f'Content-Disposition: form-data; name="{name}"'
    if file_name is None:
        return quoted
    percent = "".join(f"%{byte:02X}" for byte in file_name.encode())
    extended = f"; filename*=UTF-8''{percent}"
    return quoted + {"plain": f'; filename="{file_name}"', "star": extended, "both": f'; filename="x"{extended}'}[way]


@st.composite
def _images(draw: st.DrawFn) -> Part:
    """An image: as a file, by its type, by its name, or as text."""
    number = draw(st.integers(1, 5))
    data = HANDS[number]
    name = draw(st.sampled_from(["image", "file", "Images[]", "photo"]))
    file_name = draw(st.none() | st.sampled_from(["a.jpg", "", "händ (1).png", "no suffix", "../../etc/passwd"]))
    types = ["", "Content-Type: image/png", "content-type: IMAGE/JPEG; q=1", "Content-Type: application/octet-stream"]
    kind = draw(st.sampled_from(types if file_name is not None or name != "photo" else types[1:]))
    way = draw(st.sampled_from(["bytes", "base64", "lines", "uri", "mail"]))
    content = {
        "bytes": data, "base64": base64.b64encode(data), "lines": base64.encodebytes(data),
        "uri": b"data:image/png;base64," + base64.b64encode(data), "mail": base64.encodebytes(data),
    }[way]  # fmt: skip
    encoding = "Content-Transfer-Encoding: " + {"mail": "base64", "bytes": "binary"}.get(way, "8bit")
    head = [_disposition(name, file_name, draw(st.sampled_from(["plain", "star", "both"]))), kind, encoding]
    lines = [line for line in draw(st.permutations(head)) if line]
    return Part("\r\n".join(lines).encode(), content, number)


def _field(name: str, value: str, *, is_wrong: bool) -> Part:
    return Part(_disposition(name, None, "").encode(), value.encode(), is_wrong=is_wrong)


_good = st.sampled_from([("confidence", "0.5"), ("iou", "0.3"), ("model", "fingers"), ("explain", "true"), ("top", "")])
_wrong = st.sampled_from(
    [("conf", "0.5"), ("confidence", "2"), ("image", "photo.jpg"), ("note", ""), ("iou", "x" * 2000)]
)
_fields = st.builds(lambda pair: _field(*pair, is_wrong=False), _good) | st.builds(
    lambda pair: _field(*pair, is_wrong=True), _wrong
)
_empty = st.just(Part(b'Content-Disposition: form-data; name="image"; filename=""', b""))
_boundaries = st.sampled_from(["edge", "----WebKitFormBoundaryA1b2", "'()+_,-./:=?"])


def form(parts: list[Part], boundary: str) -> tuple[dict[str, str], bytes]:
    """Headers and body."""
    line = b"--" + boundary.encode()
    body = b"".join(line + b"\r\n" + part.head + b"\r\n\r\n" + part.content + b"\r\n" for part in parts)
    return {"Content-Type": f'multipart/form-data; boundary="{boundary}"'}, body + line + b"--\r\n"


def packed(body: bytes, coding: str) -> tuple[dict[str, str], bytes]:
    """The same, compressed."""
    pack = {"gzip": gzip.compress, "deflate": zlib.compress}.get(coding)
    return ({"Content-Encoding": coding}, pack(body)) if pack else ({}, body)


def check_refused(response: httpx.Response) -> None:
    assert 400 <= response.status_code < 500, response.text
    assert response.headers["content-type"] == "application/problem+json"


@many
@given(
    parts=st.lists(_images() | _fields | _empty, max_size=4, unique_by=lambda part: (part.head, part.content)),
    boundary=_boundaries,
    coding=st.sampled_from(["", "gzip", "deflate"]),
)
async def test_the_one_image_of_a_form_is_answered(
    client: httpx.AsyncClient, parts: list[Part], boundary: str, coding: str
) -> None:
    headers, body = form(parts, boundary)
    more, body = packed(body, coding)
    response = await client.post("/predict", content=body, headers=headers | more)
    images = [part.image for part in parts if part.image]
    if len(images) == 1 and not any(part.is_wrong for part in parts):
        assert (response.status_code, response.json().get("count")) == (200, images[0]), response.text
    else:
        check_refused(response)


@many
@given(parts=st.lists(_images() | _empty, min_size=1, max_size=5), boundary=_boundaries)
async def test_a_batch_has_an_answer_for_each_image(
    client: httpx.AsyncClient, parts: list[Part], boundary: str
) -> None:
    headers, body = form(parts, boundary)
    response = await client.post("/predict/batch", content=body, headers=headers)
    if not any(part.image for part in parts):
        check_refused(response)
        return
    found = [item.get("prediction", {}).get("count", 0) for item in response.json()["results"]]
    assert found == [part.image for part in parts]


@many
@given(
    parts=st.lists(_images() | _fields, min_size=1, max_size=3),
    coding=st.sampled_from(["", "gzip", "deflate", "br"]),
    place=st.floats(0, 1),
    cut=st.integers(0, 40),
    noise=st.binary(max_size=20)
    | st.sampled_from([b"\r\n", b"\r\n--edge", b"--", b"; name*=x''%ff", b"\0", b"%", b"="]),
)
async def test_a_damaged_form_is_answered_or_refused(
    client: httpx.AsyncClient, parts: list[Part], coding: str, place: float, cut: int, noise: bytes
) -> None:
    headers, body = form(parts, "edge")
    more, body = packed(body, coding)
    at = int(place * len(body))
    damaged = body[:at] + noise + body[at + cut :]
    response = await client.post("/predict", content=damaged, headers=headers | more | {"Content-Encoding": coding})
    if response.status_code != 200:
        check_refused(response)


_heads = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=60).map(
    lambda text: text.encode("latin-1")
)
_dispositions = st.lists(
    st.sampled_from([
        b"form-data", b"; ", b"name", b"filename", b"*", b"*0", b"*1*", b"=", b'"', b"'", b"''", b"UTF-8''", b"idna''",
        b"image", b"a.jpg", b"%", b"%E4", b"\xff", b"\\", b" ",
    ]),
    max_size=12,
).map(b"".join)  # fmt: skip


@many
@given(head=_heads | _dispositions.map(lambda value: b"Content-Disposition: form-data; " + value), named=st.booleans())
async def test_any_head_of_a_part_is_read_or_refused(client: httpx.AsyncClient, head: bytes, named: bool) -> None:
    good = b'\r\nContent-Disposition: form-data; name="image"' if named else b""
    headers, body = form([Part(head + good, HANDS[5])], "edge")
    response = await client.post("/predict", content=body, headers=headers)
    if response.status_code == 200:
        assert response.json()["count"] == 5
    else:
        check_refused(response)


_types = st.sampled_from(
    ["", "image/png", "application/octet-stream", "multipart/form-data", "text/plain", "image/"]
) | st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40)


@many
@given(
    content_type=_types,
    coding=st.sampled_from(["", "gzip", "deflate", "identity", "br", ",", "gzip;q=1"]),
    body=st.sampled_from(
        [*HANDS.values(), base64.b64encode(HANDS[1]), b"data:,", b"data:;base64,====", b"", b"\x1f\x8b\x08"]
    )
    | st.binary(max_size=60),
)
async def test_any_body_is_answered_or_refused(
    client: httpx.AsyncClient, content_type: str, coding: str, body: bytes
) -> None:
    headers = {"Content-Type": content_type, "Content-Encoding": coding}
    response = await client.post("/predict", content=body, headers=headers)
    if response.status_code == 200:
        assert response.json()["count"] in {number for number, data in HANDS.items() if data == body} | {1}
    else:
        check_refused(response)


@many
@given(
    pairs=st.lists(
        st.tuples(
            st.sampled_from(["confidence", "conf", "iou", "top", "version", "alias", "model", ""])
            | st.text(max_size=8),
            st.sampled_from(["0.5", "1", "", "nan", "1e999", "-0", "true", "champion"]) | st.text(max_size=8),
        ),
        max_size=4,
    )
)
async def test_any_query_is_understood_or_refused(client: httpx.AsyncClient, pairs: list[tuple[str, str]]) -> None:
    response = await client.post("/predict", params=pairs, content=HANDS[5], headers={"Content-Type": "image/png"})
    if response.status_code != 200:
        check_refused(response)
        return
    known = {"model", "version", "alias", "confidence", "iou", "top", "explain", "return_image", "annotate"}
    assert {name for name, _ in pairs} <= known
    asked = dict(pairs).get("confidence")
    assert asked is None or response.json()["thresholds"]["confidence"] == float(asked)
