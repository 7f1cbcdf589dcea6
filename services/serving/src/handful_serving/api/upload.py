"""The image of a request: a raw body, or the first file of a form."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from handful_core.vision.decode import UnsupportedImageError
from handful_serving.domain.errors import BadRequestError, BodyTooLargeError, EmptyBodyError

_FIELD = 1024
"""Bytes of a form field that is no file."""


@dataclass(frozen=True, slots=True)
class Upload:
    """What a client sent."""

    data: bytes
    """The image file."""
    fields: dict[str, str] = field(default_factory=dict)
    """The form's other fields."""


async def read_upload(request: Request, limit: int) -> Upload:
    """Read a request's image.

    Args:
        request: with a body that is a form with a file, or an image.
        limit: bytes of the body, all of a form included.

    Raises:
        BodyTooLargeError: more than `limit`; told before reading if the client says how much it sends.
        EmptyBodyError: no byte, or a form without a file.
        BadRequestError: a form that cannot be read.
        UnsupportedImageError: neither a form nor an image, by its Content-Type.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        upload = await _read_form(request, limit)
    elif kind in {"", "application/octet-stream"} or kind.startswith("image/"):
        upload = Upload(b"".join([chunk async for chunk in _limited(request, limit)]))
    else:
        raise UnsupportedImageError(
            f"the body's type is {kind}", "send a form with the field image, or the image itself as image/*"
        )
    if not upload.data:
        raise EmptyBodyError("the request carries no image", "send one in the form field image, or as the body")
    return upload


async def _limited(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    """The body's pieces, until there is more than `limit`."""
    announced = request.headers.get("content-length", "")
    total = int(announced) if announced.isdigit() else 0
    if total <= limit:
        total = 0
        async for chunk in request.stream():
            total += len(chunk)
            if total > limit:
                break
            yield chunk
    if total > limit:
        raise BodyTooLargeError(f"the body is larger than {limit / 1e6:g} MB", "send a smaller image")


async def _read_form(request: Request, limit: int) -> Upload:
    parser = MultiPartParser(
        request.headers, _limited(request, limit), max_files=8, max_fields=32, max_part_size=_FIELD
    )
    parser.spool_max_size = limit  # Held in memory like a raw body: the limit is what bounds it.
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise BadRequestError(f"the form cannot be read: {error.message}") from error
    try:
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        fields = {name: value for name, value in form.multi_items() if isinstance(value, str)}
        return Upload(await files[0].read() if files else b"", fields)
    finally:
        await form.close()
