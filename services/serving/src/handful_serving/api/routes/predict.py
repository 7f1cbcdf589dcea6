"""POST /predict and /predict/batch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from handful_core.errors import HandfulError
from handful_serving.api.body import UploadedFile, read_upload
from handful_serving.api.disconnect import cancel_on_disconnect
from handful_serving.api.errors import problem_responses, reject_reason, to_problem
from handful_serving.api.parameters import PredictParameters, openapi_parameters, query_parameters
from handful_serving.api.request_ids import request_id_of
from handful_serving.api.schemas import BatchAnswer, PredictionAnswer, prediction_json
from handful_serving.api.security import authenticate
from handful_serving.api.state import AppState, app_state
from handful_serving.domain.auth import Caller
from handful_serving.domain.prediction import PredictionResult
from handful_serving.errors import BadRequestError


class _Plain(APIRoute):
    """A route whose function takes the request as it is, and whose errors are left to the application.

    FastAPI's own way to parameters and answers takes a fifth of all that the event loop does for an image.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request."""
        return self.endpoint

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that matches."""
        if scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)  # Refuses it.
            return
        response = await self.endpoint(Request(scope, receive, send))
        await response(scope, receive, send)


router = APIRouter(tags=["predict"], route_class=_Plain)

_BINARY: dict[str, Any] = {"type": "string", "format": "binary"}
_PARAMETERS: dict[str, Any] = {
    "model": {"type": "string", "minLength": 1, "maxLength": 256},
    "version": {"type": "integer", "minimum": 1},
    "alias": {"type": "string", "minLength": 1, "maxLength": 256},
    "confidence": {"type": "number", "minimum": 0, "maximum": 1},
    "iou": {"type": "number", "minimum": 0, "maximum": 1},
    "return_image": {"type": "boolean"},
    "annotate": {"type": "boolean"},
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
    parts, caller, query = await _asked(request)
    parts.guard.spend(caller)
    # The body is read by hand: its size is checked on the way, and no image passes through a temporary file.
    with parts.intake.body(request) as body:
        upload = await read_upload(request, body)
        chosen = query.with_fields(upload.fields)
        work = parts.predictor.predict(upload.data, chosen.wanted, chosen.options, caller=caller.name)
        prediction = await cancel_on_disconnect(request, work)
    return JSONResponse(prediction_json(prediction, request_id_of(request.scope)))


@router.post(
    "/predict/batch",
    response_model=BatchAnswer,
    response_model_exclude_unset=True,
    responses=problem_responses(*_STATUSES),
    openapi_extra=_BATCH_BODY,
)
async def predict_batch(request: Request) -> Response:
    """The same for several images. An image that cannot be answered has a problem, and the others their answers."""
    parts, caller, query = await _asked(request)
    with parts.intake.body(request) as body:
        upload = await read_upload(request, body, parts.settings.max_batch)
        parts.guard.spend(caller, len(upload.files))
        chosen = query.with_fields(upload.fields)
        await parts.fleet.find(chosen.wanted)  # A model that is not there is the whole batch's problem.
        batch = _Batch(request, parts, caller, chosen)
        items = await cancel_on_disconnect(request, batch.answer(upload.files))
    failed = sum("problem" in item for item in items)
    return JSONResponse({"results": items, "failed": failed, "request_id": request_id_of(request.scope)})


async def _asked(request: Request) -> tuple[AppState, Caller, PredictParameters]:
    """What other routes get as dependencies."""
    return app_state(request), await authenticate(request), query_parameters(request)


class _Batch:
    """Images that are answered a few at a time, so that one batch does not fill the queue."""

    def __init__(self, request: Request, parts: AppState, caller: Caller, chosen: PredictParameters) -> None:
        self._request = request
        self._parts = parts
        self._caller = caller
        self._chosen = chosen
        self._at_once = asyncio.Semaphore(parts.predictor.workers)
        self._room = parts.settings.max_body_bytes
        """Bytes that the pictures of its answers may still have."""

    async def answer(self, files: list[UploadedFile]) -> list[dict[str, Any]]:
        """All items, in order: what `BatchItem` describes."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._item(index, file)) for index, file in enumerate(files)]
        return [task.result() for task in tasks]

    async def _item(self, index: int, file: UploadedFile) -> dict[str, Any]:
        request_id = request_id_of(self._request.scope)
        chosen = self._chosen
        async with self._at_once:
            try:
                prediction = await self._parts.predictor.predict(
                    file.data, chosen.wanted, chosen.options, caller=self._caller.name
                )
                self._count(prediction)
            except HandfulError as error:
                self._parts.metrics.rejected(reject_reason(error))
                problem = to_problem(error, self._request.url.path, request_id)
                return {"index": index, "file": file.name, "problem": problem.model_dump()}
        return {"index": index, "file": file.name, "prediction": prediction_json(prediction, request_id)}

    def _count(self, prediction: PredictionResult) -> None:
        """All pictures wait in memory until the last is done: together they may be as long as a body."""
        self._room -= len(prediction.outcome.picture or b"")
        if self._room < 0:
            most = self._parts.settings.max_body_bytes / 1e6
            raise BadRequestError(f"the pictures of this batch are more than {most:g} MB", "ask for fewer at once")
