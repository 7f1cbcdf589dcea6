"""The images of a request: a raw body, or the files of a form."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from handful_core.vision.decode import UnsupportedImageError
from handful_serving.api.body import RequestBody
from handful_serving.api.state import app_state
from handful_serving.errors import BadRequestError, EmptyBodyError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_MAX_FIELD_BYTES = 1024
"""Of a field that is no file."""
_MAX_FIELDS = 32
_MAX_HEADERS = 64
_MAX_HEADER_BYTES = 8192
"""Of all headers of a part."""
_MAX_PADDING_BYTES = 256
"""Spaces and tabs behind a boundary."""
_MAX_BOUNDARY_BYTES = 256
"""RFC 2046 allows 70."""
_SLICE_BYTES = 262_144
"""Of a form, parsed at once. Between two slices, the event loop goes on with other requests."""


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file of a form, or a whole body."""

    name: str
    data: bytes


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


async def read_upload(request: Request, body: RequestBody, max_files: int = 8) -> Upload:
    """Read a request's images.

    Args:
        request: its Content-Type says whether the body is a form with files, or one image.
        body: its body.
        max_files: files of a form.

    Raises:
        BodyTooLargeError: there are too many bytes.
        SlowBodyError: they came too slowly.
        EmptyBodyError: no byte, or a form without a file.
        BadRequestError: a form that cannot be read.
        UnsupportedImageError: neither a form nor an image, by its Content-Type.
    """
    content_type = request.headers.get("content-type", "")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "multipart/form-data":
        data = await body.read()
        # One at a time: while it is parsed, a form is in memory twice.
        async with app_state(request).form_lock:
            upload = await read_form(content_type, data, max_files)
    elif media_type in {"", "application/octet-stream"} or media_type.startswith("image/"):
        upload = Upload([UploadedFile("", await body.read())])
    else:
        raise UnsupportedImageError(
            f"the body's type is {media_type}", "send a form with the field image, or the image itself as image/*"
        )
    if not any(file.data for file in upload.files):
        raise EmptyBodyError("the request carries no image", "send one in the form field image, or as the body")
    return upload


async def read_form(content_type: str, body: bytes, max_files: int) -> Upload:
    """The files and other fields of a form (multipart/form-data).

    Starlette's form parser would write larger files to a temporary folder. Here everything stays in memory, where the
    body's own limit bounds it.

    Args:
        content_type: the request's header.
        body: the form.
        max_files: files that it may have.

    Raises:
        BadRequestError: it is no form as in RFC 7578, or there is too much in it.
    """
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= _MAX_BOUNDARY_BYTES:
        raise _bad_form("its Content-Type names no boundary")
    form = _Form(max_files)
    parser = MultipartParser(boundary, form.callbacks, max_header_count=_MAX_HEADERS, max_header_size=_MAX_HEADER_BYTES)
    body = _from_first_boundary(body, boundary)
    _check_boundaries(body, b"\r\n--" + boundary, form, max_files + _MAX_FIELDS)
    try:
        for start in range(0, len(body), _SLICE_BYTES):
            if start:
                await asyncio.sleep(0)
            parser.write(body[start : start + _SLICE_BYTES])
    except MultipartParseError as error:
        raise _bad_form(f"it breaks off, or the headers of a part have no end ({error})") from error
    if not form.complete:
        raise _bad_form("it breaks off, or the headers of a part have no end")
    return Upload(form.files, form.fields)


def _check_boundaries(body: bytes, delimiter: bytes, form: _Form, most: int) -> None:
    """Refuse what the parser would step through in Python, byte by byte: it would take seconds.

    That is a body full of boundaries, and a boundary with megabytes of padding behind it.
    """
    place, found = body.find(delimiter), 0
    while place >= 0:
        place, found = place + len(delimiter), found + 1
        if found > most:
            raise form.too_many_parts()
        padding = body[place : place + _MAX_PADDING_BYTES + 1]
        if len(padding) > _MAX_PADDING_BYTES and not padding.strip(b" \t"):
            raise _bad_form("the padding of a boundary has no end")
        place = body.find(delimiter, place)


def _from_first_boundary(body: bytes, boundary: bytes) -> bytes:
    """The form without what RFC 2046 allows before its first part, and the parser does not know."""
    line = b"--" + boundary
    if body.startswith((line + b"\r\n", line + b"--")):
        return body
    start = 0 if body.startswith(line) else body.find(b"\r\n" + line) + 2
    end = body.find(b"\r\n", start)
    if not body.startswith(line, start) or end < 0 or body[start + len(line) : end].strip(b" \t"):
        raise _bad_form("its boundary is not in it")
    return line + body[end:]


class _Form:
    """Collects the parts of a form from the parser's callbacks, and refuses what is too much as soon as it comes."""

    def __init__(self, max_files: int) -> None:
        self.files: list[UploadedFile] = []
        self.fields: dict[str, str] = {}
        self.complete = False
        self._max_files = max_files
        self._file_count = self._field_count = 0
        self._begin()

    @property
    def callbacks(self) -> MultipartCallbacks:
        """What the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._name: str | None = None
        self._file_name: str | None = None
        self._pieces: list[bytes] = []
        self._header_bytes = 0
        self._header, self._value = b"", b""

    # A header or a file may come in several pieces: the parser sees the form in slices.
    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]
        self._count_header(end - start)

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._count_header(end - start)

    def _count_header(self, amount: int) -> None:
        self._header_bytes += amount
        if self._header_bytes > _MAX_HEADER_BYTES:
            raise _bad_form(f"the headers of a part have no end within {_MAX_HEADER_BYTES} bytes")

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition" and self._name is None:
            _, options = parse_options_header(self._value)
            name, file_name = options.get(b"name"), options.get(b"filename")
            self._name = None if name is None else _text(name)
            self._file_name = None if file_name is None else _text(file_name)
        self._header, self._value = b"", b""

    def _headers_finished(self) -> None:
        if self._name is None:
            raise _bad_form("a part has no name")
        if self._file_name is None:
            self._field_count += 1
        else:
            self._file_count += 1
        if self._file_count > self._max_files or self._field_count > _MAX_FIELDS:
            raise self.too_many_parts()

    def too_many_parts(self) -> BadRequestError:
        """The error for a form with more parts than are allowed."""
        return _bad_form(f"{self._max_files} files and {_MAX_FIELDS} other fields are allowed")

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._pieces.append(data[start:end])

    def _part_end(self) -> None:
        content, name = b"".join(self._pieces), self._name or ""
        if self._file_name is not None:
            self.files.append(UploadedFile(self._file_name, content))
        elif len(content) > _MAX_FIELD_BYTES:
            raise _bad_form(f"the field {name[:40]} is longer than {_MAX_FIELD_BYTES} bytes")
        else:
            self.fields[name] = _text(content)

    def _end(self) -> None:
        self.complete = True


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _bad_form(reason: str) -> BadRequestError:
    return BadRequestError(
        f"the form cannot be read: {reason}", "send multipart/form-data with the image in the field image"
    )
