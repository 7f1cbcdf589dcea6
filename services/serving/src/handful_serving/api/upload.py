"""The images of a request: a raw body, or the files of a form."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from handful_core.vision.decode import UnsupportedImageError
from handful_serving.api.body import RequestBody
from handful_serving.api.form_parts import MAX_FIELDS, MAX_HEADER_BYTES, FormParts, UploadedFile, bad_form
from handful_serving.api.state import app_state
from handful_serving.errors import BadRequestError, EmptyBodyError

_MAX_HEADERS = 64
_MAX_PADDING_BYTES = 256
"""Spaces and tabs behind a boundary."""
_MAX_BOUNDARY_BYTES = 256
"""RFC 2046 allows 70."""
_SLICE_BYTES = 262_144
"""Of a form, parsed at once. Between two slices, the event loop goes on with other requests."""


@dataclass(frozen=True, slots=True)
class Upload:
    """What a client sent."""

    files: list[UploadedFile]
    """At least one."""
    fields: dict[str, str] = field(default_factory=dict)
    """The form's other fields."""

    @property
    def image(self) -> bytes:
        """The image, where one is asked for.

        Raises:
            BadRequestError: there are several, so any choice could be the wrong one.
        """
        sent = [file.data for file in self.files if file.data]
        if len(sent) > 1:
            raise BadRequestError(
                f"the form has {len(sent)} files, and one image is answered", "send one, or all to /predict/batch"
            )
        return sent[0]


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
        if named := [file.name for file in upload.files if file.name]:
            raise EmptyBodyError(f"the file {named[0][:80]!r} is empty", "send the whole image file")
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
        raise bad_form("its Content-Type names no boundary")
    form = FormParts(max_files)
    parser = MultipartParser(boundary, form.callbacks, max_header_count=_MAX_HEADERS, max_header_size=MAX_HEADER_BYTES)
    body = _from_first_boundary(body, boundary)
    _check_boundaries(body, b"\r\n--" + boundary, form, max_files + MAX_FIELDS)
    try:
        for start in range(0, len(body), _SLICE_BYTES):
            if start:
                await asyncio.sleep(0)
            parser.write(body[start : start + _SLICE_BYTES])
    except MultipartParseError as error:
        raise bad_form(f"it breaks off, or the headers of a part have no end ({error})") from error
    if not form.complete:
        raise bad_form("it breaks off, or the headers of a part have no end")
    return Upload(form.files, form.fields)


def _check_boundaries(body: bytes, delimiter: bytes, form: FormParts, most: int) -> None:
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
            raise bad_form("the padding of a boundary has no end")
        place = body.find(delimiter, place)


def _from_first_boundary(body: bytes, boundary: bytes) -> bytes:
    """The form without what RFC 2046 allows before its first part, and the parser does not know."""
    line = b"--" + boundary
    if body.startswith((line + b"\r\n", line + b"--")):
        return body
    start = 0 if body.startswith(line) else body.find(b"\r\n" + line) + 2
    end = body.find(b"\r\n", start)
    if not body.startswith(line, start) or end < 0 or body[start + len(line) : end].strip(b" \t"):
        raise bad_form("its boundary is not in it")
    return line + body[end:]
