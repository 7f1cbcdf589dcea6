"""What a model says of one image, and its JSON: POST /predict, `handful predict` and the pyfunc model answer alike."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from handful_core.package import Manifest
from handful_core.vision.detections import Detections
from handful_core.vision.preprocess import Floats


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of one image.

    A detector fills `detections` and `count`; a classifier fills `probabilities`, one per class.
    """

    detections: Detections = field(default_factory=Detections.empty)
    count: int | None = None
    """None where no class of the model counts anything."""
    probabilities: Floats | None = None
    timings: dict[str, float] = field(default_factory=dict)
    """Milliseconds by stage: preprocess, inference, postprocess."""

    @property
    def top(self) -> tuple[int, float] | None:
        """A classifier's most probable class and how probable it is; None of a detector."""
        if self.probabilities is None:
            return None
        first = int(np.argmax(self.probabilities))
        return first, float(self.probabilities[first])


def to_dict(prediction: Prediction, manifest: Manifest) -> dict[str, Any]:
    """Task, count, detections (boxes in pixels of the upright image) and, of a classifier, probabilities."""
    names = manifest.classes
    found = prediction.detections
    rows = zip(found.classes.tolist(), found.scores.tolist(), found.boxes.tolist(), strict=True)
    fields: dict[str, Any] = {
        "task": manifest.task,
        "count": prediction.count,
        "detections": [
            {"class": c, "name": names[c], "confidence": round(s, 4), "box": [round(edge, 2) for edge in box]}
            for c, s, box in rows
        ],
    }
    if prediction.probabilities is not None:
        ranked = sorted(enumerate(prediction.probabilities.tolist()), key=lambda item: -item[1])
        fields["probabilities"] = [{"class": c, "name": names[c], "probability": round(p, 4)} for c, p in ranked]
    return fields
