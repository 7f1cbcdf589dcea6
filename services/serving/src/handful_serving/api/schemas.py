"""The JSON of the API's responses. The names of these classes are part of the API's description."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from handful_core.vision.prediction import to_dict
from handful_serving.api.errors import Problem
from handful_serving.domain.prediction import PredictionResult

CaptureWord = Literal["off", "unsure", "share", "all-of-source"]
_CAPTURE = "Which pictures the server keeps for review: see docs/howto/review.md."


class _Answer(BaseModel):
    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)


class DetectionAnswer(_Answer):
    """One object."""

    class_id: int = Field(alias="class", description="The class's id.")
    name: str = Field(description="The class's name.")
    confidence: float = Field(ge=0, le=1)
    box: tuple[float, float, float, float] = Field(description="x1, y1, x2, y2 in pixels of the upright image.")


class ProbabilityAnswer(_Answer):
    """How probable a class is."""

    class_id: int = Field(alias="class", description="The class's id.")
    name: str = Field(description="The class's name.")
    probability: float = Field(ge=0, le=1)


class ExplanationAnswer(_Answer):
    """Where in the image a classifier sees its class: a class activation map."""

    class_id: int = Field(alias="class", description="The class's id: the most probable one.")
    name: str = Field(description="The class's name.")
    exact: bool = Field(description="Whether the class's logit is the mean of its map plus a constant.")
    box: tuple[float, float, float, float] = Field(
        description="What the map covers: x1, y1, x2, y2 in pixels of the upright image. It is smaller than the image "
        "where that was cropped for the model, and reaches beyond its edges where it was padded."
    )
    values: list[list[float]] = Field(
        description="Rows of values, 0 to 1: what speaks for the class rather than the others, as a share of the most."
    )


class ImageAnswer(_Answer):
    """The upright image's size in pixels."""

    width: int
    height: int


class ThresholdsAnswer(_Answer):
    """What decides which detections there are, and whether a classifier is certain."""

    confidence: float
    iou: float


class PredictionAnswer(_Answer):
    """What a model says of an image."""

    model: str
    version: int
    task: Literal["detect", "classify"]
    count: int | None = Field(description="What the detections add up to; null where no class counts anything.")
    detections: list[DetectionAnswer] = Field(description="The surest first; empty for a classifier.")
    top: list[ProbabilityAnswer] | None = Field(
        None,
        description="The first of a classifier's classes, as many as `top` asks for; this and what follows up to "
        "`prediction_set` is not there for a detector.",
    )
    probabilities: list[ProbabilityAnswer] | None = Field(
        None, description="All of a classifier's classes, the most probable first."
    )
    uncertain: bool | None = Field(
        None, description="Whether even the most probable class is less probable than `thresholds.confidence`."
    )
    prediction_set: list[str] | None = Field(
        None,
        description="The classes that the image may well show, the most probable first; null where the package has no "
        "prediction sets.",
    )
    out_of_distribution: bool | None = Field(
        None,
        description="Whether the image is unlike all that the model was trained on; null where its package cannot "
        "tell.",
    )
    distance: float | None = Field(
        None, description="How far it is from the training images, 0 to 2: what their directions do not explain of it."
    )
    distance_limit: float | None = Field(None, description="The distance from which on it is out of distribution.")
    explanation: ExplanationAnswer | None = Field(
        None, description="Only if `explain` asks for it, and the model has maps of its classes."
    )
    image: ImageAnswer
    thresholds: ThresholdsAnswer = Field(description="The thresholds that were used.")
    timings_ms: dict[str, float] = Field(
        description="Milliseconds by stage: queue, decode, blur, preprocess, inference, postprocess, draw (if a "
        "picture was asked for), total."
    )
    faces: int = Field(description="Faces that were found and blurred before the model saw the image.")
    picture: str | None = Field(
        None, description="The picture as a data URL of a JPEG, with its faces blurred; only if asked for."
    )
    kept_for_review: bool | Literal["undecided"] | None = Field(
        None,
        description="Whether the picture is kept for review; only where the server keeps pictures. undecided: a "
        "challenger is asked too, and the picture is kept if it answers otherwise.",
    )
    request_id: str


class BatchItem(_Answer):
    """What became of one image of a batch: a prediction or a problem."""

    index: int = Field(description="Its place in the request, from 0.")
    file: str = Field(description="Its file name in the form.")
    prediction: PredictionAnswer | None = None
    problem: Problem | None = None


class BatchAnswer(_Answer):
    """The images of a batch, in their order."""

    results: list[BatchItem]
    failed: int = Field(description="How many have a problem.")
    request_id: str


class GateAnswer(_Answer):
    """What the gate decided about a version when it was registered."""

    decision: Literal["promoted", "kept", "undecided"] = Field(
        description="promoted: it became champion. kept: the champion before it stayed. undecided: there were too few "
        "test images that neither had seen."
    )
    reason: str = Field(description="Scores, images that were compared and left out, and the interval.")


class VersionAnswer(_Answer):
    """One version of a model."""

    version: int
    aliases: list[str]
    created: datetime | None
    run_id: str | None = Field(description="The MLflow run that made it.")
    loaded: bool
    metrics: dict[str, float] = Field(
        description="Metrics on its own test split: those of different test splits are no ranking."
    )
    architecture: str | None
    dataset: str | None
    backend: str | None = Field(description="What runs it: onnxruntime or openvino; null if it is not in memory.")
    precision: str | None = Field(description="In which precision: fp32, fp16, bf16 or int8; null if not in memory.")
    state: Literal["served", "loaded", "available", "refused"]
    reason: str | None = Field(description="Why it was refused.")
    gate: GateAnswer | None = Field(description="What the gate decided; null if the version passed none.")


class RunAnswer(_Answer):
    """The training that made a version."""

    run_id: str
    experiment_id: str
    name: str
    started: datetime | None
    metrics: dict[str, float] = Field(description="The last value of each.")
    curves: dict[str, list[tuple[int, float]]] = Field(description="(step, value) of those logged at several steps.")
    page: str = Field(description="The run in MLflow's own pages.")


class ModelAnswer(_Answer):
    """One registered model; its versions, the newest first."""

    name: str
    task: Literal["detect", "classify"] | None = Field(
        description="null where neither a version in memory nor the registry's tags tell."
    )
    default: bool = Field(description="Whether it answers requests that name no model.")
    aliases: dict[str, int]
    versions: list[VersionAnswer]


class ModelsAnswer(_Answer):
    """All models that can be asked for."""

    default: str | None = Field(description="The model that answers requests that name none.")
    models: list[ModelAnswer]
    capture: CaptureWord = Field("off", description=_CAPTURE)


class ClassAnswer(_Answer):
    """One class of a model."""

    id: int
    name: str
    count: int | None = Field(description="What one detection adds to the count; null where the class counts nothing.")


class ClassesAnswer(_Answer):
    """The classes of a version, and the thresholds that are its own."""

    model: str
    version: int
    classes: list[ClassAnswer]
    thresholds: ThresholdsAnswer = Field(description="What a prediction uses unless the request says otherwise.")


class LiveAnswer(_Answer):
    """The process answers."""

    status: Literal["live"] = "live"


class ReadyModel(_Answer):
    """A champion in memory."""

    name: str
    version: int


class ReadyAnswer(_Answer):
    """Predictions can be asked for."""

    status: Literal["ready"] = "ready"
    models: list[ReadyModel]
    capture: CaptureWord = Field("off", description=_CAPTURE)


class PromotedAnswer(_Answer):
    """Where the alias champion points now. Serving follows within `poll_seconds`."""

    model: str
    champion: int
    previous: int | None = Field(description="The version that was champion before.")


class RolloutAnswer(_Answer):
    """A model's challenger, what it gets, and what came of it since the start or since the shares were set."""

    model: str
    champion: int | None
    challenger: int | None = Field(description="The version that the alias challenger names; null if none.")
    loaded: bool = Field(description="Whether the challenger is in memory.")
    canary_share: float = Field(ge=0, le=1)
    shadow_share: float = Field(ge=0, le=1)
    answered: dict[str, int] = Field(description="Requests that champion and challenger answered.")
    compared: dict[str, int] = Field(description="Shadow requests by outcome: agree, differ, failed, skipped.")


class RolloutsAnswer(_Answer):
    """All models."""

    rollouts: list[RolloutAnswer]


def prediction_json(result: PredictionResult, request_id: str, top: int) -> dict[str, Any]:
    """The JSON of a prediction for every route: what `PredictionAnswer` describes.

    It is a plain dict. Building a `PredictionAnswer` would validate what is known to be right, which takes a tenth of
    the event loop's time for an image.

    Args:
        result: the prediction.
        request_id: the request's.
        top: how many of a classifier's classes come first, by themselves.
    """
    image = result.image
    content = {
        "model": result.model_version.name,
        "version": result.model_version.version,
        **to_dict(result.prediction, result.manifest, top),
        "image": {"width": image.width, "height": image.height},
        "thresholds": {"confidence": result.confidence, "iou": result.iou},
        "timings_ms": {stage: round(milliseconds, 3) for stage, milliseconds in result.timings.items()},
        "faces": image.faces,
        "request_id": request_id,
    }
    if result.captured is not None:
        content["kept_for_review"] = result.captured
    if image.picture is not None:
        content["picture"] = "data:image/jpeg;base64," + base64.b64encode(image.picture).decode("ascii")
    return content
