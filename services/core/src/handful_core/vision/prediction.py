"""An answer in the words of the API, wherever it is given: POST /predict, `handful predict`, the pyfunc model."""

from __future__ import annotations

from typing import Any

from handful_core.package import Manifest
from handful_core.runtime.model import Prediction


def to_dict(answer: Prediction, manifest: Manifest) -> dict[str, Any]:
    """Task, count, detections (boxes in pixels of the upright image) and, of a classifier, probabilities."""
    names = manifest.classes
    found = answer.detections
    rows = zip(found.classes.tolist(), found.scores.tolist(), found.boxes.tolist(), strict=True)
    described: dict[str, Any] = {
        "task": manifest.task,
        "count": answer.count,
        "detections": [
            {"class": c, "name": names[c], "confidence": round(s, 4), "box": [round(edge, 2) for edge in box]}
            for c, s, box in rows
        ],
    }
    if answer.probabilities is not None:
        ranked = sorted(enumerate(answer.probabilities.tolist()), key=lambda item: -item[1])
        described["probabilities"] = [{"class": c, "name": names[c], "probability": round(p, 4)} for c, p in ranked]
    return described
