"""What a model says of one image, and its JSON: POST /predict, `handful predict` and the pyfunc model answer alike."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from handful_core.package import Manifest
from handful_core.vision.classification import Explanation
from handful_core.vision.detections import Detections
from handful_core.vision.preprocess import Floats

TOP = 5
"""So many of a classifier's classes are named first, unless it is said otherwise."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of one image.

    A detector fills `detections` and `count`. A classifier fills `probabilities`, and what its package knows of the
    model's limits: the rest is None where it knows nothing.
    """

    detections: Detections = field(default_factory=Detections.empty)
    count: int | None = None
    """None where no class of the model counts anything."""
    probabilities: Floats | None = None
    """(classes,)"""
    timings: dict[str, float] = field(default_factory=dict)
    """Milliseconds by stage: preprocess, inference, postprocess."""
    uncertain: bool | None = None
    """Whether even the most probable class is less probable than the threshold."""
    prediction_set: tuple[int, ...] | None = None
    """The classes that the image may well show, the most probable first."""
    distance: float | None = None
    """How far it is from the training images, 0 to 2: what their directions do not explain of it."""
    out_of_distribution: bool | None = None
    """Whether that is farther than the images that the model was accepted on."""
    projected: Floats | None = None
    """(k + 1,): the embedding, in the few numbers of the package's projection; None where it has none."""
    explanation: Explanation | None = None
    """Where the most probable class was seen; only if asked for."""

    @property
    def top(self) -> tuple[int, float] | None:
        """A classifier's most probable class and how probable it is; None of a detector."""
        if self.probabilities is None:
            return None
        first = int(np.argmax(self.probabilities))
        return first, float(self.probabilities[first])

    def scaled(self, x: float, y: float) -> Prediction:
        """The same of an image that is larger by these factors."""
        explanation = self.explanation and self.explanation.scaled(x, y)
        return replace(self, detections=self.detections.scaled(x, y), explanation=explanation)


def to_dict(prediction: Prediction, manifest: Manifest, top: int = TOP) -> dict[str, Any]:
    """Task, count, detections (boxes in pixels of the upright image) and a classifier's answer.

    Args:
        prediction: of a model with this manifest.
        manifest: names the classes.
        top: how many of a classifier's classes come first, by themselves.
    """
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
        probabilities = [{"class": c, "name": names[c], "probability": round(p, 4)} for c, p in ranked]
        fields |= {"top": probabilities[:top], "probabilities": probabilities}
        fields |= _limits(prediction, manifest)
    return fields


def _limits(prediction: Prediction, manifest: Manifest) -> dict[str, Any]:
    """What a classifier's package knows of the limits of its model; null where it knows nothing."""
    classes, unlike, shown = prediction.prediction_set, manifest.out_of_distribution, prediction.explanation
    fields: dict[str, Any] = {
        "uncertain": prediction.uncertain,
        "prediction_set": None if classes is None else [manifest.classes[c] for c in classes],
        "out_of_distribution": prediction.out_of_distribution,
        "distance": None if prediction.distance is None else round(prediction.distance, 4),
        "distance_limit": None if unlike is None else round(unlike.distance, 4),
    }
    if shown is not None:
        fields["explanation"] = {
            "class": shown.class_id,
            "name": manifest.classes[shown.class_id],
            "exact": shown.exact,
            "box": [round(edge, 2) for edge in shown.box],
            "values": [[round(value, 3) for value in row] for row in shown.values.tolist()],
        }
    return fields
