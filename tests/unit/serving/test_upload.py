"""Forms as clients send them, and as they break."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handful_serving.api.upload import _SLICE_BYTES, Upload, UploadedFile, read_form
from handful_serving.errors import BadRequestError, EmptyBodyError, UnsupportedEncodingError

_TYPE = "multipart/form-data; boundary=edge"
_IMAGE = b"\xff\xd8\r\n--edg\r\n\r\n--\r\n"
_TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


def read(content_type: str, body: bytes, max_files: int) -> Upload:
    """A form, read without an event loop: all that it awaits are pauses."""
    reading = read_form(content_type, body, max_files)
    while True:
        try:
            reading.send(None)
        except StopIteration as ended:
            upload: Upload = ended.value
            return upload


def part(head: str, content: bytes) -> bytes:
    """One part with the boundary before it."""
    return b"--edge\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n"


def whole(*parts: bytes) -> bytes:
    """A form."""
    return b"".join(parts) + b"--edge--\r\n"


IMAGE = part('Content-Disposition: form-data; name="image"; filename="a.jpg"\r\nContent-Type: image/jpeg', _IMAGE)
FIELD = part('content-disposition: form-data; name="model"', b"h\xc3\xa4nde")


@given(
    files=st.lists(st.tuples(_TEXTS, st.binary(max_size=300)), min_size=1, max_size=4),
    fields=st.dictionaries(_TEXTS, _TEXTS, max_size=4),
)
def test_what_a_client_packs_is_unpacked(files: list[tuple[str, bytes]], fields: dict[str, str]) -> None:
    request = httpx.Request(
        "POST", "http://serving/predict", data=fields, files=[("images", (name, data)) for name, data in files]
    )
    upload = read(request.headers["content-type"], request.read(), 4)
    assert [file.data for file in upload.files] == [data for _, data in files]
    assert list(upload.fields.values()) == list(fields.values())


def test_content_that_looks_like_a_boundary_is_content() -> None:
    assert read(_TYPE, whole(IMAGE, FIELD), 1) == Upload([UploadedFile("a.jpg", _IMAGE)], {"model": "hände"})


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"a preamble\r\n" + whole(IMAGE), id="preamble"),
        pytest.param(whole(IMAGE) + b"an epilogue", id="epilogue"),
        pytest.param(whole(IMAGE).replace(b"--edge\r\n", b"--edge \t\r\n"), id="padding"),
    ],
)
def test_what_the_standard_allows_around_parts(body: bytes) -> None:
    assert read(_TYPE, body, 1) == Upload([UploadedFile("a.jpg", _IMAGE)])


@pytest.mark.parametrize("length", range(len(whole(FIELD, IMAGE)) - len("--\r\n")))
def test_a_form_that_breaks_off_anywhere_is_refused(length: int) -> None:
    with pytest.raises(BadRequestError, match="the form cannot be read"):
        read(_TYPE, whole(FIELD, IMAGE)[:length], 8)


@pytest.mark.parametrize(
    ("content_type", "body", "words"),
    [
        ("multipart/form-data", whole(IMAGE), "names no boundary"),
        (f"multipart/form-data; boundary={'e' * 300}", whole(IMAGE), "names no boundary"),
        ("multipart/form-data; boundary=other", whole(IMAGE), "its boundary is not in it"),
        (_TYPE, whole(part("Content-Type: image/jpeg", _IMAGE)), "a part has no name"),
        (_TYPE, whole(part('Content-Disposition: form-data; filename="a.jpg"', _IMAGE)), "a part has no name"),
        (_TYPE, whole(b"--edge\r\n\r\nno headers\r\n"), "a part has no name"),
        (_TYPE, whole(part("X: " + "x" * 9000, b"")), "the headers of a part have no end"),
        (_TYPE, whole(IMAGE, IMAGE), "1 files and 32 other fields are allowed"),
        (_TYPE, whole(*[FIELD.replace(b"model", b"%d" % i) for i in range(33)]), "1 files and 32 other fields"),
        (_TYPE, whole(*[FIELD] * 33), "1 files and 32 other fields"),
        (_TYPE, whole(FIELD.replace(b"h\xc3", b"h" * 2000)), "the field model is longer than 1024 bytes"),
    ],
)
def test_what_is_wrong_is_said(content_type: str, body: bytes, words: str) -> None:
    with pytest.raises(BadRequestError, match=words):
        read(content_type, body, 1)


def test_a_form_that_is_longer_than_a_slice_is_whole() -> None:
    """A file, a header and the boundary itself may lie across two slices."""
    for size in range(2 * _SLICE_BYTES - 200, 2 * _SLICE_BYTES + 20, 7):
        data = bytes(size)
        form = whole(FIELD, part('Content-Disposition: form-data; name="image"; filename="a.jpg"', data), IMAGE)
        upload = read(_TYPE, form, 2)
        assert [len(file.data) for file in upload.files] == [size, len(_IMAGE)]
        assert upload.fields == {"model": "hände"}


def test_a_long_form_does_not_hold_up_the_event_loop() -> None:
    async def turns_meanwhile() -> int:
        turns, reading = 0, asyncio.ensure_future(read_form(_TYPE, whole(IMAGE.replace(_IMAGE, bytes(10**7))), 1))
        while not reading.done():
            turns += 1
            await asyncio.sleep(0)
        return turns

    assert asyncio.run(turns_meanwhile()) > 10


def test_a_form_full_of_almost_boundaries_is_refused_at_once() -> None:
    body = whole(IMAGE.replace(_IMAGE, b"\r\n--edgex" * 10**6))
    started = time.process_time()
    with pytest.raises(BadRequestError, match="1 files and 32 other fields"):
        read(_TYPE, body, 1)
    assert time.process_time() - started < 1


@given(st.binary(max_size=400), st.integers(0, 400))
def test_noise_is_read_or_refused(noise: bytes, place: int) -> None:
    body = whole(FIELD, IMAGE)
    try:
        files = read(_TYPE, body[:place] + noise + body[place:], 8).files
    except BadRequestError:
        return
    assert len(files) <= 8


@pytest.mark.parametrize("padding", [b" ", b"\t"])
def test_a_boundary_with_endless_padding_is_refused_before_it_is_parsed(padding: bytes) -> None:
    padded = whole(IMAGE, FIELD).replace(b"\r\n--edge\r\n", b"\r\n--edge" + 40 * padding + b"\r\n", 1)
    assert read(_TYPE, padded, 1).files[0].data == _IMAGE
    began = time.process_time()
    with pytest.raises(BadRequestError, match="padding of a boundary"):
        read(_TYPE, IMAGE + b"--edge" + 20_000_000 * padding + b"\r\n", 1)
    assert time.process_time() - began < 1


def disposition(rest: str, *headers: str) -> str:
    """The head of a part."""
    return "\r\n".join([f"Content-Disposition: form-data; {rest}", *headers])


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (disposition('name="photo"', "Content-Type: image/jpeg"), ""),
        (disposition('name="photo"', "content-type: IMAGE/PNG; charset=binary"), ""),
        (disposition('name="photo"', "Content-Type: application/octet-stream"), ""),
        (disposition('name="image"'), ""),
        (disposition("name=Images[]", "Content-Transfer-Encoding: binary"), ""),
        (disposition("name=\"photo\"; filename*=UTF-8''h%C3%A4nd.jpg"), "händ.jpg"),
        (disposition('name="photo"; filename="hand.jpg"; filename*=utf-8\'en\'h%C3%A4nd.jpg'), "händ.jpg"),
        (disposition("filename*=iso-8859-1''h%E4nd.jpg; name=\"photo\""), "händ.jpg"),
        (disposition("name=\"photo\"; filename*=undefined''h%C3%A4nd.jpg"), "händ.jpg"),
        (disposition("name=\"photo\"; filename*0*=UTF-8''h%C3%A4; filename*1=nd.jpg"), "händ.jpg"),
        (disposition("name*=UTF-8''photo; filename=a.jpg"), "a.jpg"),
        (disposition('name="a; filename*=b"; filename="a*.jpg"'), "a*.jpg"),
    ],
)
def test_a_part_is_a_file_by_its_file_name_its_type_or_its_name(head: str, name: str) -> None:
    upload = read(_TYPE, whole(FIELD, part(head, _IMAGE)), 1)
    assert (upload.files, upload.fields) == ([UploadedFile(name, _IMAGE)], {"model": "hände"})


@pytest.mark.parametrize("name", ["image", "file"])
@pytest.mark.parametrize("text", ["photo.jpg", "/home/me/händ.jpg", "https://example.org/a.jpg", "text", "@a.jpg"])
def test_a_text_where_an_image_should_be_is_called_so(name: str, text: str) -> None:
    form = whole(part(disposition(f'name="{name}"'), text.encode()))
    with pytest.raises(EmptyBodyError, match=rf"field {name} holds the text '{text}' and no image: .*{name}=@photo"):
        read(_TYPE, form, 1)


def test_a_field_may_be_encoded_for_the_mail() -> None:
    encoded = [
        part(disposition('name="model"', "Content-Transfer-Encoding: base64"), b"aMOkbmRl\r\n"),
        part(disposition('name="alias"', "Content-Transfer-Encoding: Quoted-Printable"), b"h=C3=A4=\r\nnde"),
    ]
    assert read(_TYPE, whole(*encoded), 1).fields == {"model": "hände", "alias": "hände"}


@pytest.mark.parametrize(
    ("head", "kind", "words"),
    [
        ("Content-Transfer-Encoding: x-uuencode", BadRequestError, "Content-Transfer-Encoding x-uuencode"),
        ("Content-Encoding: gzip", UnsupportedEncodingError, "the Content-Encoding gzip: pack the whole body"),
    ],
)
def test_a_part_that_is_packed_is_refused_by_name(head: str, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        read(_TYPE, whole(part(disposition('name="image"; filename="a"', head), _IMAGE)), 1)


def test_a_field_with_two_values_is_refused() -> None:
    other = FIELD.replace(b"h\xc3\xa4nde", b"leaves")
    with pytest.raises(BadRequestError, match="the form field model is given twice"):
        read(_TYPE, whole(FIELD, other), 1)
    assert read(_TYPE, whole(FIELD, FIELD), 1).fields == {"model": "hände"}
