"""The Open Inference Protocol, version 2, over HTTP: what clients of KServe and Triton speak.

An image goes in, detections come out: faces are blurred on the way, so the graph's own tensors are not to be had.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Path, Request, Response

from handful_core.package import Manifest
from handful_serving import __version__
from handful_serving.api.disconnect import cancel_on_disconnect
from handful_serving.api.errors import problem_responses
from handful_serving.api.parameters import PredictParameters
from handful_serving.api.security import PredictCaller
from handful_serving.api.state import AppState, State
from handful_serving.api.v2_tensors import InferRequest, read_request, write_response
from handful_serving.concurrency.threads import in_thread
from handful_serving.domain.auth import Caller
from handful_serving.domain.model_ref import ModelRef
from handful_serving.domain.model_store import LoadedModel
from handful_serving.domain.prediction import PredictionResult

router = APIRouter(prefix="/v2", tags=["open inference protocol"])
Name = Annotated[str, Path(min_length=1, max_length=256)]
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
_HEADER = "Inference-Header-Content-Length"
_ASKING = problem_responses(400, 401, 403, 404, 503)
_INFERRING = problem_responses(400, 401, 403, 404, 408, 413, 415, 422, 429, 500, 503)
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
async def ready(parts: State) -> Response:
    """A model is loaded."""
    parts.fleet.ready()
    return Response()


@router.get("/models/{name}/ready", response_class=Response, responses=_ASKING)
async def model_ready(name: Name, parts: State, _: PredictCaller) -> Response:
    """A model's champion can be asked; it is loaded if it is not yet."""
    await parts.fleet.find(ModelRef(name))
    return Response()


@router.get("/models/{name}/versions/{version}/ready", response_class=Response, responses=_ASKING)
async def version_ready(name: Name, version: Number, parts: State, _: PredictCaller) -> Response:
    """A version can be asked; it is loaded if it is not yet."""
    await parts.fleet.find(ModelRef(name, version))
    return Response()


@router.get("/models/{name}", responses=_ASKING)
async def model(name: Name, parts: State, _: PredictCaller) -> dict[str, Any]:
    """A model's inputs and outputs."""
    return _metadata(await parts.fleet.find(ModelRef(name)), parts)


@router.get("/models/{name}/versions/{version}", responses=_ASKING)
async def model_version(name: Name, version: Number, parts: State, _: PredictCaller) -> dict[str, Any]:
    """A version's inputs and outputs."""
    return _metadata(await parts.fleet.find(ModelRef(name, version)), parts)


@router.post("/models/{name}/infer", responses=_INFERRING, openapi_extra=_BODY)
async def infer(name: Name, request: Request, parts: State, caller: PredictCaller) -> Response:
    """Answer an image with a model's champion (or its challenger, see Trying a challenger)."""
    return await _infer(request, parts, ModelRef(name), caller)


@router.post("/models/{name}/versions/{version}/infer", responses=_INFERRING, openapi_extra=_BODY)
async def infer_version(name: Name, version: Number, request: Request, parts: State, caller: PredictCaller) -> Response:
    """Answer an image with a version."""
    return await _infer(request, parts, ModelRef(name, version), caller)


async def _infer(request: Request, parts: AppState, wanted: ModelRef, caller: Caller) -> Response:
    parts.guard.spend(caller)
    with parts.intake.body(request) as body:
        content = await body.read()
        async with parts.reading:
            asked = await in_thread(read_request, content, request.headers.get(_HEADER))
        options = _parameters(asked.request).options
        prediction = await cancel_on_disconnect(
            request, parts.predictor.predict(asked.image, wanted, options, caller=caller.name)
        )
    answer: dict[str, Any] = {"model_name": prediction.key.name, "model_version": str(prediction.key.version)}
    if asked.request.id is not None:
        answer["id"] = asked.request.id
    content, length = write_response(answer, _outputs(prediction), asked.request)
    if length is None:
        return Response(content, media_type="application/json")
    return Response(content, media_type="application/octet-stream", headers={_HEADER: str(length)})


def _parameters(request: InferRequest) -> PredictParameters:
    given = {name: str(value) for name, value in request.parameters.items() if name in {"confidence", "iou"}}
    return PredictParameters().with_fields(given)


def _outputs(prediction: PredictionResult) -> dict[str, np.ndarray[Any, Any]]:
    answer = prediction.answer
    if answer.probabilities is not None:
        return {"probabilities": np.asarray(answer.probabilities, np.float32)}
    found = answer.detections
    return {
        "boxes": np.ascontiguousarray(found.boxes, np.float32),
        "scores": np.ascontiguousarray(found.scores, np.float32),
        "classes": np.ascontiguousarray(found.classes, np.int64),
        "count": np.array([answer.count or 0], np.int64),
    }


def _metadata(loaded: LoadedModel, parts: AppState) -> dict[str, Any]:
    manifest = loaded.model.manifest
    versions = parts.fleet.catalog.versions.get(loaded.key.name, [])
    numbers = sorted({loaded.key.version, *(version.version for version in versions)})
    return {
        "name": loaded.key.name,
        "versions": [str(number) for number in numbers],
        "platform": "handful_onnx",
        "inputs": [{"name": "image", "datatype": "BYTES", "shape": [1]}],
        "outputs": _described(manifest),
        "parameters": {"classes": list(manifest.classes)},
    }


def _described(manifest: Manifest) -> list[dict[str, Any]]:
    if manifest.task == "classify":
        return [{"name": "probabilities", "datatype": "FP32", "shape": [len(manifest.classes)]}]
    return [
        {"name": "boxes", "datatype": "FP32", "shape": [-1, 4]},
        {"name": "scores", "datatype": "FP32", "shape": [-1]},
        {"name": "classes", "datatype": "INT64", "shape": [-1]},
        {"name": "count", "datatype": "INT64", "shape": [1]},
    ]
