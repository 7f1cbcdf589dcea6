"""What is wrong, as problem+json (RFC 9457): the one place where errors get their HTTP status."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, Field

from handful_core.errors import (
    HandfulError,
    NotFoundError,
    PackageError,
    RefusedError,
    ResourceError,
    UnavailableError,
)
from handful_core.vision.decode import ImageError, ImageTooLargeError, UnsupportedImageError
from handful_faces.privacy import BlurError
from handful_serving.api.content_encoding import ACCEPTED
from handful_serving.errors import (
    BadRequestError,
    BodyTooLargeError,
    EmptyBodyError,
    ForbiddenError,
    OverloadedError,
    RateError,
    RefusedModelError,
    SlowBodyError,
    UnauthorizedError,
    UnsupportedEncodingError,
)

PROBLEM_JSON = "application/problem+json"

# The first that fits counts: a kind stands before its base.
_KINDS: tuple[tuple[type[HandfulError], HTTPStatus, str, str], ...] = (
    (BadRequestError, HTTPStatus.BAD_REQUEST, "bad-parameter", "A parameter is wrong"),
    (EmptyBodyError, HTTPStatus.BAD_REQUEST, "no-image", "The request carries no image"),
    (UnauthorizedError, HTTPStatus.UNAUTHORIZED, "no-key", "An API key is needed"),
    (ForbiddenError, HTTPStatus.FORBIDDEN, "forbidden", "This may not be done"),
    (RefusedError, HTTPStatus.CONFLICT, "refused", "This was refused"),
    (SlowBodyError, HTTPStatus.REQUEST_TIMEOUT, "body-too-slow", "The body came too slowly"),
    (BodyTooLargeError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body-too-large", "The body is too large"),
    (ImageTooLargeError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "image-too-large", "The image has too many pixels"),
    (UnsupportedEncodingError, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unknown-encoding", "The body's encoding is unknown"),
    (UnsupportedImageError, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "not-an-image", "The body is not an image"),
    (ImageError, HTTPStatus.UNPROCESSABLE_ENTITY, "damaged-image", "The image is damaged"),
    (RateError, HTTPStatus.TOO_MANY_REQUESTS, "too-many-requests", "Too many requests"),
    (NotFoundError, HTTPStatus.NOT_FOUND, "unknown-model", "There is no such model"),
    (OverloadedError, HTTPStatus.SERVICE_UNAVAILABLE, "overloaded", "The server has too much to do"),
    (RefusedModelError, HTTPStatus.SERVICE_UNAVAILABLE, "model-refused", "The model cannot be served"),
    (PackageError, HTTPStatus.SERVICE_UNAVAILABLE, "model-refused", "The model cannot be served"),
    (UnavailableError, HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "No model can answer"),
    (ResourceError, HTTPStatus.SERVICE_UNAVAILABLE, "no-resources", "The server lacks something"),
    (BlurError, HTTPStatus.INTERNAL_SERVER_ERROR, "blur-failed", "Faces could not be blurred"),
    (HandfulError, HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "The server failed"),
)


class Problem(BaseModel):
    """What is wrong, and what to do about it. Below /v2 `error` has the detail once more, as that protocol wants it."""

    type: str = Field(description="Names the kind of problem.", examples=["urn:handful:problem:not-an-image"])
    title: str = Field(description="The kind of problem in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What is wrong with this request, and what to do.")
    instance: str = Field(description="The path that was asked for.")
    request_id: str = Field(description="The value of X-Request-ID; the server's log has it too.")


def to_problem(error: HandfulError, instance: str, request_id: str) -> Problem:
    """An error in the API's words."""
    _, status, name, title = _kind(error)
    return make_problem(status, name, title, str(error), instance, request_id)


def make_problem(status: int, name: str, title: str, detail: str, instance: str, request_id: str) -> Problem:
    """A problem of a kind that is named here."""
    return Problem(
        type=f"urn:handful:problem:{name}",
        title=title,
        status=status,
        detail=detail,
        instance=instance,
        request_id=request_id,
    )


def reject_reason(error: HandfulError) -> str:
    """Why a request was refused, in a fixed word for metrics."""
    return error.reason if isinstance(error, OverloadedError) else _kind(error)[2].replace("-", "_")


def error_headers(error: HandfulError) -> dict[str, str]:
    """Headers that go with an error."""
    if isinstance(error, OverloadedError | RateError):
        return {"Retry-After": str(error.retry_after)}
    if isinstance(error, UnsupportedEncodingError):
        return {"Accept-Encoding": ACCEPTED}
    return {"WWW-Authenticate": "Bearer"} if isinstance(error, UnauthorizedError) else {}


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI description of the problems that a route answers."""
    titles: dict[int, list[str]] = {}
    for _, status, _, title in _KINDS:
        if title not in titles.setdefault(status, []):
            titles[status].append(title)
    return {
        status: {
            "description": "; ".join(titles[status]),
            "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


def problem_names() -> list[str]:
    """The kinds of problems that errors become."""
    return sorted({name for _, _, name, _ in _KINDS})


def _kind(error: HandfulError) -> tuple[type[HandfulError], HTTPStatus, str, str]:
    return next(kind for kind in _KINDS if isinstance(error, kind[0]))
