"""POST /predict."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from handful_core.vision.answer import describe
from handful_serving.api.answers import ImageAnswer, PredictionAnswer, ThresholdsAnswer
from handful_serving.api.parameters import PredictParameters
from handful_serving.api.parts import AppParts
from handful_serving.api.problems import problem_responses
from handful_serving.api.request_ids import request_id_of
from handful_serving.api.upload import read_upload
from handful_serving.domain.prediction import Prediction

router = APIRouter(tags=["predict"])

_BINARY: dict[str, Any] = {"type": "string", "format": "binary"}
_FORM = {
    "type": "object",
    "properties": {
        "image": {**_BINARY, "description": "The image file; `file` is understood too."},
        "model": {"type": "string", "minLength": 1, "maxLength": 256},
        "version": {"type": "integer", "minimum": 1},
        "alias": {"type": "string", "minLength": 1, "maxLength": 256},
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
        "iou": {"type": "number", "minimum": 0, "maximum": 1},
    },
    "required": ["image"],
}
_BODY = {
    "requestBody": {
        "required": True,
        "description": "The image, as a form or as it is. A form may carry the parameters too; the query's count more.",
        "content": {
            "multipart/form-data": {"schema": _FORM},
            "image/*": {"schema": _BINARY},
            "application/octet-stream": {"schema": _BINARY},
        },
    }
}


@router.post(
    "/predict",
    response_model=PredictionAnswer,
    response_model_exclude_unset=True,
    responses=problem_responses(400, 404, 413, 415, 422, 503),
    openapi_extra=_BODY,
)
async def predict(request: Request, parts: AppParts, query: Annotated[PredictParameters, Query()]) -> Response:
    """Find, classify and count what is in an image."""
    # The body is read by hand: its size is checked on the way, and no image passes through a temporary file.
    upload = await read_upload(request, parts.settings.max_body_bytes)
    chosen = query.with_fields(upload.fields)
    prediction = await parts.predictor.predict(upload.data, chosen.wanted, chosen.confidence, chosen.iou)
    answer = _answer(prediction, request_id_of(request.scope))
    return Response(answer.model_dump_json(exclude_unset=True), media_type="application/json")


def _answer(prediction: Prediction, request_id: str) -> PredictionAnswer:
    return PredictionAnswer(
        model=prediction.key.name,
        version=prediction.key.version,
        **describe(prediction.answer, prediction.manifest),
        image=ImageAnswer(width=prediction.width, height=prediction.height),
        thresholds=ThresholdsAnswer(confidence=prediction.confidence, iou=prediction.iou),
        timings_ms={stage: round(milliseconds, 3) for stage, milliseconds in prediction.timings.items()},
        request_id=request_id,
    )
