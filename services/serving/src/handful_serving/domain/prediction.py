"""The options of a prediction, and its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from handful_core.package import Manifest
from handful_core.profile import FeatureValue
from handful_core.vision.decode import Pixels
from handful_core.vision.prediction import Prediction
from handful_core.vision.preprocess import Floats
from handful_serving.domain.model_ref import ModelVersion

Drawing = Literal["none", "plain", "annotated"]
Captured = bool | Literal["undecided"]
"""Whether a picture is kept for review; undecided while a challenger is still asked about it."""


@dataclass(frozen=True, slots=True)
class PredictOptions:
    """How to predict one image."""

    confidence: float | None = None
    """Only boxes that score higher, or below which a class is uncertain; the model's own threshold if None."""
    iou: float | None = None
    """Overlap above which two boxes are one object; the model's own threshold if None."""
    drawing: Drawing = "none"
    """Whether the picture comes back, its faces blurred: as it is, or with the prediction drawn in."""
    explain: bool = False
    """Whether a classifier says where in the image it sees its class."""
    max_pixels: int | None = None
    """Images with more are refused; the server's own limit if None."""
    source: str = ""
    """Where the image comes from, such as a camera's name: the prediction log has it."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What may be kept of an image."""

    pixels: Pixels
    """As the model saw them: faces are blurred, and a large image is reduced."""
    seen: Mapping[str, FeatureValue]
    """What the image looked like, in numbers."""
    vector: Floats
    """Of unit length: what it resembles."""


@dataclass(frozen=True, slots=True)
class ImagePrediction:
    """What the work in a thread gave: a prediction, and what is known of its image."""

    prediction: Prediction
    """Boxes in pixels of the upright image as it was sent."""
    width: int
    """Pixels of the upright image."""
    height: int
    """Pixels of the upright image."""
    faces: int
    """Faces that were blurred."""
    timings: dict[str, float]
    """Milliseconds by stage: decode, blur, preprocess, inference, postprocess, and draw if a picture was drawn."""
    picture: bytes | None = None
    """A JPEG, if one was asked for."""
    seen: Mapping[str, FeatureValue] | None = None
    """What the image looks like, in numbers; None where nobody logs it."""
    frame: Frame | None = None
    """None where nobody keeps pictures."""


@dataclass(frozen=True, slots=True)
class PredictionResult:
    """A prediction of a model version, with the thresholds and the time that it took."""

    model_version: ModelVersion
    manifest: Manifest
    image: ImagePrediction
    confidence: float
    iou: float
    timings: dict[str, float]
    """Those of the image, and queue (the wait for a slot) and total."""

    digest: str = ""
    """The package's."""
    source: str = ""
    """Where the image comes from, as the request said."""
    captured: Captured | None = None
    """None where nobody keeps pictures."""

    @property
    def prediction(self) -> Prediction:
        """What the model says."""
        return self.image.prediction
