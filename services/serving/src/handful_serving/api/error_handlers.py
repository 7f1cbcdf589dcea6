"""Answers every error as a problem."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from handful_core.errors import HandfulError
from handful_serving.api.errors import PROBLEM_JSON, Problem, error_headers, make_problem, reject_reason, to_problem
from handful_serving.api.parameters import ModelParameters, describe_validation_error
from handful_serving.api.request_ids import HEADER, request_id_of
from handful_serving.api.state import app_state

_V2 = "/v2/"
_log = logging.getLogger(__name__)


def install(app: FastAPI) -> None:
    """Let the application answer every error as a problem."""
    app.add_exception_handler(HandfulError, _on_handful)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(ClientDisconnect, _on_gone)
    app.add_exception_handler(Exception, _on_bug)


async def _on_handful(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HandfulError)  # noqa: S101  # What Starlette calls this handler for.
    problem = to_problem(error, request.url.path, request_id_of(request.scope))
    if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("%s %s failed: %s", request.method, request.url.path, error, exc_info=error)
    app_state(request).metrics.rejected(reject_reason(error))
    return _answer(problem, error_headers(error))


async def _on_validation(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101  # What Starlette calls this handler for.
    detail = describe_validation_error("parameter", error.errors()[0], ModelParameters.model_fields)
    app_state(request).metrics.rejected("bad_parameter")
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


async def _on_gone(request: Request, _: Exception) -> Response:
    """Nobody reads this answer; the log has its status."""
    app_state(request).metrics.rejected("client_gone")
    return Response(status_code=HTTPStatus.BAD_REQUEST)


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
    return _answer(
        make_problem(status, name, title, detail, request.url.path, request_id_of(request.scope)), headers or {}
    )


def _answer(problem: Problem, headers: Mapping[str, str]) -> JSONResponse:
    content = problem.model_dump()
    if _V2 in problem.instance:  # Where clients of the Open Inference Protocol look for the words.
        content["error"] = problem.detail
    # The header is set here too, since an unexpected error is answered outside of all middleware.
    return JSONResponse(
        content, problem.status, headers={**headers, HEADER: problem.request_id}, media_type=PROBLEM_JSON
    )
