"""The images of a request: a raw body, or the files of a form."""

from __future__ import annotations

from dataclasses import dataclass, field

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from handful_core.vision.decode import UnsupportedImageError
from handful_serving.api.intake import Body
from handful_serving.domain.errors import BadRequestError, EmptyBodyError

_FIELD = 1024
"""Bytes of a form field that is no file."""
_FIELDS = 32


@dataclass(frozen=True, slots=True)
class File:
    """One image of a request."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Upload:
    """What a client sent."""

    files: list[File]
    """At least one."""
    fields: dict[str, str] = field(default_factory=dict)
    """The form's other fields."""

    @property
    def data(self) -> bytes:
        """The first image."""
        return self.files[0].data


async def read_upload(request: Request, body: Body, most: int = 8) -> Upload:
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
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        async with body.in_time():
            upload = await _read_form(request, body, most)
    elif kind in {"", "application/octet-stream"} or kind.startswith("image/"):
        upload = Upload([File("", await body.read())])
    else:
        raise UnsupportedImageError(
            f"the body's type is {kind}", "send a form with the field image, or the image itself as image/*"
        )
    if not any(file.data for file in upload.files):
        raise EmptyBodyError("the request carries no image", "send one in the form field image, or as the body")
    return upload


async def _read_form(request: Request, body: Body, most: int) -> Upload:
    parser = MultiPartParser(request.headers, body.stream(), max_files=most, max_fields=_FIELDS, max_part_size=_FIELD)
    parser.spool_max_size = body.limit  # Held in memory like a raw body: the limit is what bounds it.
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise BadRequestError(f"the form cannot be read: {error.message}") from error
    try:
        items = form.multi_items()
        files = [File(value.filename or "", await value.read()) for _, value in items if isinstance(value, UploadFile)]
        return Upload(files, {name: value for name, value in items if isinstance(value, str)})
    finally:
        await form.close()
