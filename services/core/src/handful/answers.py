"""What a model answers. The fields are those of POST /predict, and have its names."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from handful_core.errors import UnavailableError

_Kind = TypeVar("_Kind", bound="_Part")


class _Part(BaseModel):
    """A part of an answer. What a later release of the server adds is ignored."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, use_attribute_docstrings=True)

    def as_json(self) -> dict[str, Any]:
        """The same as the server's JSON has it, for `json.dump`."""
        return self.model_dump(mode="json", by_alias=True)


class Box(NamedTuple):
    """A rectangle in pixels of the upright image: its left upper and its right lower corner."""

    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def width(self) -> float:
        """Pixels from left to right."""
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        """Pixels from top to bottom."""
        return self.y2 - self.y1


class Detection(_Part):
    """One object."""

    class_id: int = Field(alias="class")
    """The class's place among the model's classes, from 0."""
    name: str
    """The class's name."""
    confidence: float
    """0 to 1."""
    box: Box


class ClassProbability(_Part):
    """How probable a class is."""

    class_id: int = Field(alias="class")
    """The class's place among the model's classes, from 0."""
    name: str
    """The class's name."""
    probability: float
    """0 to 1."""


class Explanation(_Part):
    """Where in the image a classifier sees its most probable class: a class activation map."""

    class_id: int = Field(alias="class")
    name: str
    exact: bool
    """Whether the class's logit is the mean of its map plus a constant."""
    box: Box
    """What the map covers; it may reach beyond the image's edges."""
    values: tuple[tuple[float, ...], ...]
    """Rows of values, 0 to 1."""


class ImageSize(_Part):
    """The upright image's size in pixels."""

    width: int
    height: int


class Thresholds(_Part):
    """The thresholds that were used."""

    confidence: float
    iou: float


class Answer(_Part):
    """What a model says of one image.

    A detector fills `detections` and `count`. A classifier fills `top` and `probabilities`, and what its package knows
    of the model's limits. What a model does not tell is None.
    """

    model: str
    """The model's name."""
    version: int | None = None
    """Its number in the registry; None for a package file."""
    task: Literal["detect", "classify"]
    count: int | None = None
    """What the detections add up to; None where no class counts anything."""
    detections: tuple[Detection, ...] = ()
    """The surest first; empty for a classifier."""
    top: tuple[ClassProbability, ...] | None = None
    """A classifier's first classes, as many as `top` asked for."""
    probabilities: tuple[ClassProbability, ...] | None = None
    """All of a classifier's classes, the most probable first."""
    uncertain: bool | None = None
    """Whether even the most probable class is less probable than `thresholds.confidence`."""
    prediction_set: tuple[str, ...] | None = None
    """The classes that the image may well show, the most probable first."""
    out_of_distribution: bool | None = None
    """Whether the image is unlike all that the model was trained on."""
    distance: float | None = None
    """How far it is from the training images, 0 to 2."""
    distance_limit: float | None = None
    """The distance from which on it is out of distribution."""
    explanation: Explanation | None = None
    """Only if `explain` asks for it, and the model has maps of its classes."""
    image: ImageSize
    thresholds: Thresholds
    timings_ms: dict[str, float] = {}
    """Milliseconds by stage."""
    faces: int | None = None
    """Faces that the server blurred before the model saw the image; None where no server did."""
    picture: str | None = None
    """The picture as a data URL of a JPEG; only if `return_image` asks for it."""
    kept_for_review: bool | Literal["undecided"] | None = None
    """Whether the server keeps the picture for review; None where it keeps none. undecided: a challenger is asked too,
    and the picture is kept if it answers otherwise."""
    request_id: str | None = None
    """The server's id of the request, which its log has too."""

    @property
    def name(self) -> str | None:
        """The name of a classifier's most probable class; None of a detector."""
        return self.probabilities[0].name if self.probabilities else None


class ServedVersion(_Part):
    """One version of a model, as a server has it."""

    version: int
    aliases: tuple[str, ...] = ()
    created: datetime | None = None
    metrics: dict[str, float] = {}
    """Metrics on its own test split."""
    state: str
    """served, loaded, available or refused."""
    reason: str | None = None
    """Why it was refused."""


class ServedModel(_Part):
    """A model that a server can be asked for."""

    name: str
    task: Literal["detect", "classify"] | None = None
    default: bool = False
    """Whether it answers requests that name no model."""
    aliases: dict[str, int] = {}
    """Alias to version."""
    versions: tuple[ServedVersion, ...] = ()
    """The newest first."""


def parse(kind: type[_Kind], content: Any, address: str) -> _Kind:
    """Read a server's JSON.

    Raises:
        UnavailableError: it is not what Handful answers.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UnavailableError(
            f"{address} answers, but not as Handful does ({where}: {first['msg']})", "use the address of Handful's API"
        ) from error
