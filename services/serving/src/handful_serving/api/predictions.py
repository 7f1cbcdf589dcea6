"""Predictions in the API's words."""

from __future__ import annotations

import base64
from typing import Any

from handful_core.vision.prediction import to_dict
from handful_serving.domain.prediction import PredictionResult


def answer_of(prediction: PredictionResult, request_id: str) -> dict[str, Any]:
    """The JSON of a prediction, whichever way it was asked for: what `PredictionAnswer` describes.

    It is not made of one, which would check what is known to be right, in a tenth of the event loop's time.
    """
    outcome = prediction.outcome
    answer = {
        "model": prediction.key.name,
        "version": prediction.key.version,
        **to_dict(prediction.answer, prediction.manifest),
        "image": {"width": outcome.width, "height": outcome.height},
        "thresholds": {"confidence": prediction.confidence, "iou": prediction.iou},
        "timings_ms": {stage: round(milliseconds, 3) for stage, milliseconds in prediction.timings.items()},
        "faces": outcome.faces,
        "request_id": request_id,
    }
    if outcome.picture is not None:
        answer["picture"] = "data:image/jpeg;base64," + base64.b64encode(outcome.picture).decode("ascii")
    return answer
