"""Answers what is wrong as problem+json (RFC 9457), in the words that serving uses."""

from __future__ import annotations

import logging
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from handful_core.errors import DataError, HandfulError, NotFoundError, UnavailableError
from handful_core.review import StaleReviewError

_log = logging.getLogger(__name__)
_KINDS: dict[type[HandfulError], tuple[HTTPStatus, str, str]] = {
    NotFoundError: (HTTPStatus.NOT_FOUND, "not-found", "There is no such picture"),
    StaleReviewError: (HTTPStatus.CONFLICT, "conflict", "Somebody else has reviewed it meanwhile"),
    DataError: (HTTPStatus.UNPROCESSABLE_ENTITY, "bad-annotation", "The annotation does not fit"),
    UnavailableError: (HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "MLflow does not answer"),
    HandfulError: (HTTPStatus.INTERNAL_SERVER_ERROR, "failed", "The monitor failed"),
}
"""The first that fits counts."""


def install(app: FastAPI) -> None:
    """Let the application answer every error as a problem."""
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(HandfulError, _on_error)
    app.add_exception_handler(Exception, _on_bug)


async def _on_validation(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101  # What Starlette calls this handler for.
    first = error.errors()[0]
    detail = f"the parameter {first['loc'][-1]} is wrong: {first['msg'][:1].lower()}{first['msg'][1:]}"
    return _problem(request, HTTPStatus.BAD_REQUEST, "bad-parameter", "A parameter is wrong", detail)


async def _on_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101  # What Starlette calls this handler for.
    status = HTTPStatus(error.status_code)
    detail = {
        HTTPStatus.NOT_FOUND: f"there is nothing at {request.url.path}; see /openapi.json",
        HTTPStatus.METHOD_NOT_ALLOWED: f"{request.url.path} does not answer {request.method}",
    }.get(status, str(error.detail))
    return _problem(request, status, status.phrase.lower().replace(" ", "-"), status.phrase, detail)


async def _on_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HandfulError)  # noqa: S101  # What Starlette calls this handler for.
    status, name, title = next(found for kind, found in _KINDS.items() if isinstance(error, kind))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.warning("%s %s failed: %s", request.method, request.url.path, error)
    return _problem(request, status, name, title, str(error))


async def _on_bug(request: Request, error: Exception) -> JSONResponse:
    _log.error("%s %s failed with %s", request.method, request.url.path, type(error).__name__)
    detail = f"an unexpected {type(error).__name__}; the monitor's log has its trace"
    return _problem(request, HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "The monitor failed", detail)


def _problem(request: Request, status: HTTPStatus, name: str, title: str, detail: str) -> JSONResponse:
    content = {
        "type": f"urn:handful:problem:{name}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": request.url.path,
    }
    return JSONResponse(content, status, media_type="application/problem+json")
