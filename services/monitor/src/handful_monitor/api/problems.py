"""Answers what is wrong as problem+json (RFC 9457), in the words that serving uses."""

from __future__ import annotations

import logging
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

_log = logging.getLogger(__name__)


def install(app: FastAPI) -> None:
    """Let the application answer every error as a problem."""
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
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
