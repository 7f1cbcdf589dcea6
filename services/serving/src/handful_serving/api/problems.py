"""Errors as problem+json (RFC 9457): the one place where they get their HTTP status."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from handful_core.errors import HandfulError, NotFoundError, PackageError, ResourceError, UnavailableError
from handful_core.vision.decode import ImageError, ImageTooLargeError, UnsupportedImageError
from handful_serving.api.parameters import complaint
from handful_serving.api.request_ids import HEADER, request_id_of
from handful_serving.domain.errors import BadRequestError, BodyTooLargeError, EmptyBodyError, RefusedModelError

_log = logging.getLogger(__name__)

# The first that fits counts: a kind stands before its base.
_KINDS: tuple[tuple[type[HandfulError], HTTPStatus, str, str], ...] = (
    (BadRequestError, HTTPStatus.BAD_REQUEST, "bad-parameter", "A parameter is wrong"),
    (EmptyBodyError, HTTPStatus.BAD_REQUEST, "no-image", "The request carries no image"),
    (BodyTooLargeError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body-too-large", "The body is too large"),
    (ImageTooLargeError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "image-too-large", "The image has too many pixels"),
    (UnsupportedImageError, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "not-an-image", "The body is not an image"),
    (ImageError, HTTPStatus.UNPROCESSABLE_ENTITY, "damaged-image", "The image is damaged"),
    (NotFoundError, HTTPStatus.NOT_FOUND, "unknown-model", "There is no such model"),
    (RefusedModelError, HTTPStatus.SERVICE_UNAVAILABLE, "model-refused", "The model cannot be served"),
    (PackageError, HTTPStatus.SERVICE_UNAVAILABLE, "model-refused", "The model cannot be served"),
    (UnavailableError, HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "No model can answer"),
    (ResourceError, HTTPStatus.SERVICE_UNAVAILABLE, "no-resources", "The server lacks something"),
    (HandfulError, HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "The server failed"),
)


class Problem(BaseModel):
    """What is wrong, and what to do about it."""

    type: str = Field(description="Names the kind of problem.", examples=["urn:handful:problem:not-an-image"])
    title: str = Field(description="The kind of problem in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What is wrong with this request, and what to do.")
    instance: str = Field(description="The path that was asked for.")
    request_id: str = Field(description="The value of X-Request-ID; the server's log has it too.")


PROBLEM = "application/problem+json"


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI description of the problems that a route answers."""
    titles: dict[int, list[str]] = {}
    for _, status, _, title in _KINDS:
        if title not in titles.setdefault(status, []):
            titles[status].append(title)
    return {
        status: {
            "description": "; ".join(titles[status]),
            "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


def install(app: FastAPI) -> None:
    """Let the application answer every error as a problem."""
    app.add_exception_handler(HandfulError, _on_handful)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_bug)


async def _on_handful(request: Request, error: Exception) -> JSONResponse:
    kinds = (kind for kind in _KINDS if isinstance(error, kind[0]))
    _, status, name, title = next(kinds)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("%s %s failed: %s", request.method, request.url.path, error, exc_info=error)
    return _problem(request, status, name, title, str(error))


async def _on_validation(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101  # What Starlette calls this handler for.
    detail = complaint("parameter", error.errors()[0])
    return _problem(request, HTTPStatus.BAD_REQUEST, "bad-parameter", "A parameter is wrong", detail)


async def _on_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101  # What Starlette calls this handler for.
    status = HTTPStatus(error.status_code)
    detail = {
        HTTPStatus.NOT_FOUND: f"there is nothing at {request.url.path}; see /docs",
        HTTPStatus.METHOD_NOT_ALLOWED: f"{request.url.path} does not answer {request.method}",
    }.get(status, str(error.detail))
    name = status.phrase.lower().replace(" ", "-")
    return _problem(request, status, name, status.phrase, detail, error.headers)


async def _on_bug(request: Request, error: Exception) -> JSONResponse:
    _log.error(
        "%s %s failed with %s",
        request.method,
        request.url.path,
        type(error).__name__,
        extra={"request_id": request_id_of(request.scope)},
    )
    detail = f"an unexpected {type(error).__name__}; the server's log has its trace under this request id"
    return _problem(request, HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "The server failed", detail)


def _problem(
    request: Request, status: HTTPStatus, name: str, title: str, detail: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    request_id = request_id_of(request.scope)
    problem = Problem(
        type=f"urn:handful:problem:{name}",
        title=title,
        status=status,
        detail=detail,
        instance=request.url.path,
        request_id=request_id,
    )
    # The header is set here too, since an unexpected error is answered outside of all middleware.
    return JSONResponse(
        problem.model_dump(), status, headers={**(headers or {}), HEADER: request_id}, media_type=PROBLEM
    )
