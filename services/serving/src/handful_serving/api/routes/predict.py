"""POST /predict and /predict/batch."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from handful_core.errors import HandfulError
from handful_serving.api.disconnect import cancel_on_disconnect
from handful_serving.api.errors import problem_responses, reject_reason, to_problem
from handful_serving.api.parameters import PredictParameters, openapi_parameters, query_parameters
from handful_serving.api.request_ids import request_id_of
from handful_serving.api.schemas import BatchAnswer, PredictionAnswer, prediction_json
from handful_serving.api.security import authenticate
from handful_serving.api.state import AppState, app_state
from handful_serving.api.upload import UploadedFile, read_upload
from handful_serving.domain.auth import Caller
from handful_serving.domain.prediction import PredictionResult
from handful_serving.errors import BadRequestError


class _Endpoint:
    """An ASGI application of a function from request to response. Errors are left to the application's handlers."""

    def __init__(self, function: Callable[[Request], Awaitable[Response]]) -> None:
        self._function = function

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._function(Request(scope, receive, send))
        await response(scope, receive, send)


class PlainRoute(Route):
    """Starlette's own route, without FastAPI's parameters, dependencies and response models: see docs/adr/0015."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether a request is for this route."""
        match, child_scope = super().matches(scope)
        child_scope["route"] = self  # FastAPI's routes do so too: the access log reads the template from it.
        return match, child_scope


def plain_routes(prefix: str = "") -> list[PlainRoute]:
    """The routes that answer. They stand before those of `router`, which only describe the same addresses."""
    functions = {"/predict": predict, "/predict/batch": predict_batch}
    return [PlainRoute(prefix + path, _Endpoint(function), methods=["POST"]) for path, function in functions.items()]


router = APIRouter(tags=["predict"])

_BINARY: dict[str, Any] = {"type": "string", "format": "binary"}
_PARAMETERS: dict[str, Any] = {
    "model": {"type": "string", "minLength": 1, "maxLength": 256},
    "version": {"type": "integer", "minimum": 1},
    "alias": {"type": "string", "minLength": 1, "maxLength": 256},
    "confidence": {"type": "number", "minimum": 0, "maximum": 1},
    "iou": {"type": "number", "minimum": 0, "maximum": 1},
    "top": {"type": "integer", "minimum": 1, "maximum": 100},
    "explain": {"type": "boolean"},
    "return_image": {"type": "boolean"},
    "annotate": {"type": "boolean"},
    "source": {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$"},
}
_FORM = {
    "type": "object",
    "properties": {
        "image": {**_BINARY, "description": "The image file; `file` is understood too."},
        **_PARAMETERS,
    },
    "required": ["image"],
}
_BODY = {
    "parameters": openapi_parameters(),
    "requestBody": {
        "required": True,
        "description": "The image, as a form or as it is. A form may carry the parameters too; the query's count more.",
        "content": {
            "multipart/form-data": {"schema": _FORM},
            "image/*": {"schema": _BINARY},
            "application/octet-stream": {"schema": _BINARY},
        },
    },
}
_BATCH_FORM = {
    "type": "object",
    "properties": {"images": {"type": "array", "items": _BINARY, "minItems": 1}, **_PARAMETERS},
    "required": ["images"],
}
_BATCH_BODY = {
    "parameters": openapi_parameters(),
    "requestBody": {
        "required": True,
        "description": "The images as files of a form; the parameters hold for all of them.",
        "content": {"multipart/form-data": {"schema": _BATCH_FORM}},
    },
}
_STATUSES = (400, 401, 403, 404, 408, 413, 415, 422, 429, 500, 503)


@router.post(
    "/predict",
    response_model=PredictionAnswer,
    response_model_exclude_unset=True,
    responses=problem_responses(*_STATUSES),
    openapi_extra=_BODY,
)
async def predict(request: Request) -> Response:
    """Find, classify and count what is in an image. Faces are blurred first."""
    state, caller, query = _context(request)
    state.rate_limiter.consume(caller)
    # The body is read by hand: its size is checked on the way, and no image passes through a temporary file.
    with state.body_budget.body(request) as body:
        upload = await read_upload(request, body)
        parameters = query.with_fields(upload.fields)
        work = state.predictor.predict(upload.data, parameters.ref, parameters.options, caller=caller.name)
        result = await cancel_on_disconnect(request, work)
    return JSONResponse(prediction_json(result, request_id_of(request.scope), parameters.top))


@router.post(
    "/predict/batch",
    response_model=BatchAnswer,
    response_model_exclude_unset=True,
    responses=problem_responses(*_STATUSES),
    openapi_extra=_BATCH_BODY,
)
async def predict_batch(request: Request) -> Response:
    """The same for several images. An image that cannot be answered has a problem, and the others their answers."""
    state, caller, query = _context(request)
    with state.body_budget.body(request) as body:
        upload = await read_upload(request, body, state.settings.max_batch)
        state.rate_limiter.consume(caller, len(upload.files))
        parameters = query.with_fields(upload.fields)
        await state.manager.find(parameters.ref)  # A model that is not there is the whole batch's problem.
        batch = _Batch(request, state, caller, parameters)
        items = await cancel_on_disconnect(request, batch.predict(upload.files))
    failed = sum("problem" in item for item in items)
    return JSONResponse({"results": items, "failed": failed, "request_id": request_id_of(request.scope)})


def _context(request: Request) -> tuple[AppState, Caller, PredictParameters]:
    """What other routes get as dependencies."""
    state = app_state(request)
    return state, authenticate(request, state), query_parameters(request)


class _Batch:
    """Images that are predicted a few at a time, so that one batch does not fill the queue."""

    def __init__(self, request: Request, state: AppState, caller: Caller, parameters: PredictParameters) -> None:
        self._request = request
        self._state = state
        self._caller = caller
        self._parameters = parameters
        self._concurrency = asyncio.Semaphore(state.predictor.workers)
        self._picture_bytes_left = state.settings.max_body_bytes

    async def predict(self, files: list[UploadedFile]) -> list[dict[str, Any]]:
        """All items, in order: what `BatchItem` describes."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._item(index, file)) for index, file in enumerate(files)]
        return [task.result() for task in tasks]

    async def _item(self, index: int, file: UploadedFile) -> dict[str, Any]:
        request_id = request_id_of(self._request.scope)
        parameters = self._parameters
        async with self._concurrency:
            try:
                result = await self._state.predictor.predict(
                    file.data, parameters.ref, parameters.options, caller=self._caller.name
                )
                self._count_picture(result)
            except HandfulError as error:
                self._state.metrics.rejected(reject_reason(error))
                problem = to_problem(error, self._request.url.path, request_id)
                return {"index": index, "file": file.name, "problem": problem.model_dump()}
        return {"index": index, "file": file.name, "prediction": prediction_json(result, request_id, parameters.top)}

    def _count_picture(self, result: PredictionResult) -> None:
        """All pictures stay in memory until the last image is done: together they may be as long as a body."""
        self._picture_bytes_left -= len(result.image.picture or b"")
        if self._picture_bytes_left < 0:
            limit = self._state.settings.max_body_bytes / 1e6
            raise BadRequestError(f"the pictures of this batch are more than {limit:g} MB", "ask for fewer at once")
