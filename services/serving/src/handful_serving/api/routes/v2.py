"""The Open Inference Protocol, version 2, over HTTP: what clients of KServe and Triton speak.

An image goes in, detections come out, or several images go in and a classifier's probabilities come out. Faces are
blurred on the way, so the graph's own tensors are not to be had.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Path, Request, Response

from handful_core import __version__
from handful_core.errors import HandfulError
from handful_core.package import Manifest
from handful_serving.api.disconnect import cancel_on_disconnect
from handful_serving.api.errors import problem_responses
from handful_serving.api.parameters import PredictParameters, nearest
from handful_serving.api.security import PredictCaller
from handful_serving.api.state import AppState, State
from handful_serving.api.v2_tensors import InferInput, InferRequest, read_request, write_response
from handful_serving.concurrency.threads import in_thread
from handful_serving.domain.auth import Caller
from handful_serving.domain.model_ref import ModelRef
from handful_serving.domain.model_store import LoadedModel
from handful_serving.domain.prediction import PredictionResult
from handful_serving.errors import BadRequestError

router = APIRouter(prefix="/v2", tags=["open inference protocol"])
Name = Annotated[str, Path(min_length=1, max_length=256)]
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
_PARAMETERS = ("confidence", "iou", "source")
_HEADER = "Inference-Header-Content-Length"
_READ_PROBLEMS = problem_responses(400, 401, 403, 404, 503)
_INFER_PROBLEMS = problem_responses(400, 401, 403, 404, 408, 413, 415, 422, 429, 500, 503)
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


@router.get("")
async def server() -> dict[str, Any]:
    """The server's name, version and extensions."""
    return {"name": "handful", "version": __version__, "extensions": ["binary_tensor_data"]}


@router.get("/health/live", response_class=Response)
async def live() -> Response:
    """The process answers."""
    return Response()


@router.get("/health/ready", response_class=Response, responses=problem_responses(503))
async def ready(state: State) -> Response:
    """A model is loaded."""
    state.manager.ready()
    return Response()


@router.get("/models/{name}/ready", response_class=Response, responses=_READ_PROBLEMS)
async def model_ready(name: Name, state: State, _: PredictCaller) -> Response:
    """A model's champion can be asked; it is loaded if it is not yet."""
    await state.manager.find(ModelRef(name))
    return Response()


@router.get("/models/{name}/versions/{version}/ready", response_class=Response, responses=_READ_PROBLEMS)
async def version_ready(name: Name, version: Number, state: State, _: PredictCaller) -> Response:
    """A version can be asked; it is loaded if it is not yet."""
    await state.manager.find(ModelRef(name, version))
    return Response()


@router.get("/models/{name}", responses=_READ_PROBLEMS)
async def model(name: Name, state: State, _: PredictCaller) -> dict[str, Any]:
    """A model's inputs and outputs."""
    return _metadata(await state.manager.find(ModelRef(name)), state)


@router.get("/models/{name}/versions/{version}", responses=_READ_PROBLEMS)
async def model_version(name: Name, version: Number, state: State, _: PredictCaller) -> dict[str, Any]:
    """A version's inputs and outputs."""
    return _metadata(await state.manager.find(ModelRef(name, version)), state)


@router.post("/models/{name}/infer", responses=_INFER_PROBLEMS, openapi_extra=_BODY)
async def infer(name: Name, request: Request, state: State, caller: PredictCaller) -> Response:
    """Answer an image (a classifier: images) with a model's champion (or its challenger, see Trying a challenger)."""
    return await _infer(request, state, ModelRef(name), caller)


@router.post("/models/{name}/versions/{version}/infer", responses=_INFER_PROBLEMS, openapi_extra=_BODY)
async def infer_version(name: Name, version: Number, request: Request, state: State, caller: PredictCaller) -> Response:
    """Answer an image (a classifier: images) with a version."""
    return await _infer(request, state, ModelRef(name, version), caller)


async def _infer(request: Request, state: AppState, ref: ModelRef, caller: Caller) -> Response:
    state.rate_limiter.consume(caller)
    with state.body_budget.body(request) as body:
        content = await body.read()
        # JSON with pixels in it is long. Threads parse it, a few at a time, so that the event loop goes on.
        async with state.json_readers:
            inputs = await in_thread(read_request, content, request.headers.get(_HEADER), state.settings.max_batch)
        results = await cancel_on_disconnect(request, _predict(state, inputs, ref, caller))
    answered = results[0].model_version
    fields: dict[str, Any] = {"model_name": answered.name, "model_version": str(answered.version)}
    if inputs.request.id is not None:
        fields["id"] = inputs.request.id
    content, length = write_response(fields, _outputs(results), inputs.request)
    if length is None:
        return Response(content, media_type="application/json")
    return Response(content, media_type="application/octet-stream", headers={_HEADER: str(length)})


async def _predict(state: AppState, inputs: InferInput, ref: ModelRef, caller: Caller) -> list[PredictionResult]:
    """All images, answered by one version, a few at a time."""
    options = _parameters(inputs.request).options
    images = inputs.images
    if len(images) == 1:
        return [await state.predictor.predict(images[0], ref, options, caller=caller.name)]
    await _check_takes_several(state, ref)
    state.rate_limiter.consume(caller, len(images) - 1)
    slots = asyncio.Semaphore(state.predictor.workers)

    async def predict(place: int, ref: ModelRef) -> PredictionResult:
        async with slots:
            try:
                return await state.predictor.predict(images[place], ref, options, caller=caller.name)
            except HandfulError as error:
                error.message = f"image {place + 1} of {len(images)}: {error.message}"
                raise

    first = await predict(0, ref)
    # The champion may move meanwhile, and a canary go to another version: the rest is asked of the one that answered.
    same = ModelRef(first.model_version.name, first.model_version.version)
    tasks = [asyncio.ensure_future(predict(place, same)) for place in range(1, len(images))]
    try:
        return [first, *await asyncio.gather(*tasks)]
    finally:
        for task in tasks:  # After a problem nobody needs the others.
            task.cancel()


async def _check_takes_several(state: AppState, ref: ModelRef) -> None:
    """Detections of several images would be tensors of several lengths."""
    loaded = await state.manager.find(ref)
    if loaded.model.manifest.task == "detect":
        raise BadRequestError(
            f"the detector {loaded.model_version.name} takes one image a request",
            "send the images one by one, or all of them to /predict/batch",
        )


def _parameters(request: InferRequest) -> PredictParameters:
    fields = {name: str(value) for name, value in request.parameters.items() if name in _PARAMETERS}
    for name in request.parameters:
        # The protocol and its clients have parameters of their own, so only what looks like one of ours is refused.
        if name not in _PARAMETERS and (meant := nearest(name, _PARAMETERS)):
            raise BadRequestError(f"there is no parameter {name[:60]}", f"did you mean {meant}?")
    return PredictParameters().with_fields(fields)


def _outputs(results: list[PredictionResult]) -> dict[str, np.ndarray[Any, Any]]:
    probabilities = [each.prediction.probabilities for each in results]
    known = [each for each in probabilities if each is not None]
    if known:
        return {"probabilities": np.stack(known).astype(np.float32)}
    prediction = results[0].prediction
    detections = prediction.detections
    return {
        "boxes": np.ascontiguousarray(detections.boxes, np.float32),
        "scores": np.ascontiguousarray(detections.scores, np.float32),
        "classes": np.ascontiguousarray(detections.classes, np.int64),
        "count": np.array([prediction.count or 0], np.int64),
    }


def _metadata(loaded: LoadedModel, state: AppState) -> dict[str, Any]:
    manifest = loaded.model.manifest
    versions = state.manager.catalog.versions.get(loaded.model_version.name, [])
    numbers = sorted({loaded.model_version.version, *(version.version for version in versions)})
    return {
        "name": loaded.model_version.name,
        "versions": [str(number) for number in numbers],
        "platform": "handful_onnx",
        "inputs": [{"name": "image", "datatype": "BYTES", "shape": [1 if manifest.task == "detect" else -1]}],
        "outputs": _output_tensors(manifest),
        "parameters": {"classes": list(manifest.classes)},
    }


def _output_tensors(manifest: Manifest) -> list[dict[str, Any]]:
    if manifest.task == "classify":
        return [{"name": "probabilities", "datatype": "FP32", "shape": [-1, len(manifest.classes)]}]
    return [
        {"name": "boxes", "datatype": "FP32", "shape": [-1, 4]},
        {"name": "scores", "datatype": "FP32", "shape": [-1]},
        {"name": "classes", "datatype": "INT64", "shape": [-1]},
        {"name": "count", "datatype": "INT64", "shape": [1]},
    ]
