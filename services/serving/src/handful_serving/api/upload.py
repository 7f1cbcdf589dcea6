"""The images of a request: a raw body, or the files of a form."""

from __future__ import annotations

from dataclasses import dataclass, field

from starlette.requests import Request

from handful_core.vision.decode import UnsupportedImageError
from handful_serving.api.form import File, read_form
from handful_serving.api.intake import Body
from handful_serving.domain.errors import EmptyBodyError


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
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        upload = Upload(*read_form(content_type, await body.read(), most))
    elif kind in {"", "application/octet-stream"} or kind.startswith("image/"):
        upload = Upload([File("", await body.read())])
    else:
        raise UnsupportedImageError(
            f"the body's type is {kind}", "send a form with the field image, or the image itself as image/*"
        )
    if not any(file.data for file in upload.files):
        raise EmptyBodyError("the request carries no image", "send one in the form field image, or as the body")
    return upload
