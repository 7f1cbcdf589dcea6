"""The body of a request: bounded in bytes and time while it is read, then an image or a form of images."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from handful_core.vision.decode import UnsupportedImageError
from handful_serving.errors import BadRequestError, BodyTooLargeError, EmptyBodyError, OverloadedError, SlowBodyError

_RETRY = 1


class BodyBudget:
    """Counts the bytes of all bodies in memory.

    Args:
        body_bytes: bytes of one body.
        pending_bytes: bytes of all.
        seconds: how long a client may take to send one.
    """

    def __init__(self, body_bytes: int, pending_bytes: int, seconds: float) -> None:
        self._limit = body_bytes
        self._pending = pending_bytes
        self._held = 0
        self.seconds = seconds

    def body(self, request: Request, limit: int | None = None) -> RequestBody:
        """A request's body; its bytes count until the end of the `with` block that it is used in."""
        return RequestBody(self, request, min(limit or self._limit, self._limit))

    def take(self, amount: int) -> None:
        """Count bytes that came.

        Raises:
            OverloadedError: there is no room for them.
        """
        if self._held + amount > self._pending:
            raise OverloadedError("too many images are on their way", "pending_bytes", _RETRY)
        self._held += amount

    def give_back(self, amount: int) -> None:
        """Count bytes that went."""
        self._held -= amount


class RequestBody:
    """The body of one request."""

    def __init__(self, intake: BodyBudget, request: Request, limit: int) -> None:
        self._intake = intake
        self._request = request
        self._limit = limit
        self._held = 0

    def __enter__(self) -> Self:
        """Begin to count its bytes."""
        return self

    def __exit__(self, *_: object) -> None:
        """It is not needed any more."""
        self._intake.give_back(self._held)

    async def read(self) -> bytes:
        """All of it.

        Raises:
            BodyTooLargeError: it is more than the limit; told before reading if the client says how much it sends.
            SlowBodyError: it took too long.
        """
        announced = self._request.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > self._limit:
            raise self._too_large()
        pieces = []
        try:
            async with asyncio.timeout(self._intake.seconds):
                async for piece in self._request.stream():
                    self._count(len(piece))
                    pieces.append(piece)
        except TimeoutError as error:
            raise SlowBodyError(
                f"the body was not there within {self._intake.seconds:g} s", "send it faster, or send a smaller image"
            ) from error
        return b"".join(pieces)

    def _count(self, amount: int) -> None:
        if self._held + amount > self._limit:
            raise self._too_large()
        self._intake.take(amount)
        self._held += amount

    def _too_large(self) -> BodyTooLargeError:
        return BodyTooLargeError(f"the body is larger than {self._limit / 1e6:g} MB", "send a smaller image")


@dataclass(frozen=True, slots=True)
class Upload:
    """What a client sent."""

    files: list[UploadedFile]
    """At least one."""
    fields: dict[str, str] = field(default_factory=dict)
    """The form's other fields."""

    @property
    def data(self) -> bytes:
        """The first image."""
        return self.files[0].data


async def read_upload(request: Request, body: RequestBody, most: int = 8) -> Upload:
    """Read a request's images.

    Args:
        request: its Content-Type says whether the body is a form with files, or one image.
        body: its body.
        most: files of a form.

    Raises:
        BodyTooLargeError: there are too many bytes.
        SlowBodyError: they came too slowly.
        EmptyBodyError: no byte, or a form without a file.
        BadRequestError: a form that cannot be read.
        UnsupportedImageError: neither a form nor an image, by its Content-Type.
    """
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        upload = Upload(*read_form(content_type, await body.read(), most))
    elif kind in {"", "application/octet-stream"} or kind.startswith("image/"):
        upload = Upload([UploadedFile("", await body.read())])
    else:
        raise UnsupportedImageError(
            f"the body's type is {kind}", "send a form with the field image, or the image itself as image/*"
        )
    if not any(file.data for file in upload.files):
        raise EmptyBodyError("the request carries no image", "send one in the form field image, or as the body")
    return upload


_FIELD = 1024
"""Bytes of a field that is no file."""
_FIELDS = 32
_HEADERS = 8192
"""Bytes of a part's headers."""
_MOST_BOUNDARY = 256
"""Bytes; RFC 2046 allows 70."""


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file of a form, or a whole body."""

    name: str
    data: bytes


def read_form(content_type: str, body: bytes, most: int) -> tuple[list[UploadedFile], dict[str, str]]:
    """The files of a form, and its other fields.

    Parsers that take a form piece by piece look at it byte by byte, and this is a tenth of all that the event loop does
    for an image; here it is whole, and the boundary is looked for.

    Args:
        content_type: the request's header.
        body: the form.
        most: files that it may have.

    Raises:
        BadRequestError: it is no form as in RFC 7578, or there is too much in it.
    """
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= _MOST_BOUNDARY:
        raise _wrong("its Content-Type names no boundary")
    files: list[UploadedFile] = []
    fields: dict[str, str] = {}
    for number, (headers, content) in enumerate(_parts(body, boundary), 1):
        name, file = _names(headers)
        if file is not None:
            files.append(UploadedFile(file, content))
        elif len(content) > _FIELD:
            raise _wrong(f"the field {name[:40]} is longer than {_FIELD} bytes")
        else:
            fields[name] = _text(content)
        if len(files) > most or number - len(files) > _FIELDS:
            raise _wrong(f"{most} files and {_FIELDS} other fields are allowed")
    return files, fields


def _parts(body: bytes, boundary: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Headers and content of each part."""
    delimiter = b"\r\n--" + boundary
    start = -2 if body.startswith(delimiter[2:]) else body.find(delimiter)
    if start == -1:
        raise _wrong("its boundary is not in it")
    start += len(delimiter)
    while not body.startswith(b"--", start):
        begin = body.find(b"\r\n\r\n", start, start + _HEADERS)
        end = body.find(delimiter, begin + 4)
        if begin < 0 or end < 0:
            raise _wrong("it breaks off, or the headers of a part have no end")
        yield body[start:begin], body[begin + 4 : end]
        start = end + len(delimiter)


def _names(headers: bytes) -> tuple[str, str | None]:
    """A part's field, and the name of its file; None if it is none."""
    for line in headers.split(b"\r\n"):
        kind, _, value = line.partition(b":")
        if kind.lower() == b"content-disposition":
            _, options = parse_options_header(value)
            if b"name" in options:
                file = options.get(b"filename")
                return _text(options[b"name"]), None if file is None else _text(file)
    raise _wrong("a part has no name")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _wrong(what: str) -> BadRequestError:
    return BadRequestError(
        f"the form cannot be read: {what}", "send multipart/form-data with the image in the field image"
    )
