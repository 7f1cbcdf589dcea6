"""The parameters of a prediction, from the query or from form fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from handful_core.vision.prediction import TOP
from handful_serving.domain.model_ref import ModelRef
from handful_serving.domain.prediction import Drawing, PredictOptions
from handful_serving.errors import BadRequestError

Name = Annotated[str, Field(min_length=1, max_length=256)]
Source = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class ModelParameters(BaseModel):
    """Which model is meant."""

    model_config = ConfigDict(frozen=True)

    model: Name | None = Field(None, description="A registered model; the default model if not given.")
    version: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = Field(
        None, description="One of its versions; not together with alias."
    )
    alias: Name | None = Field(None, description="One of its aliases; champion if neither this nor version is given.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.version is not None and self.alias is not None:
            raise ValueError("give version or alias, not both")
        return self

    @property
    def ref(self) -> ModelRef:
        """The same for the domain."""
        return ModelRef(self.model, self.version, self.alias)


class PredictParameters(ModelParameters):
    """Which model is to answer, from when on it is sure enough, and what its answer holds."""

    confidence: Share | None = Field(
        None,
        description="Only detections that score higher; a classifier's answer is uncertain below it. The model's own "
        "threshold if not given.",
    )
    iou: Share | None = Field(
        None, description="Overlap above which two boxes are one object; the model's own threshold if not given."
    )
    top: Annotated[int, Field(ge=1, le=100)] = Field(
        TOP, description="How many of a classifier's classes `top` names, the most probable first."
    )
    explain: bool = Field(
        False,
        description="Say where a classifier sees its class: `explanation` of the answer, if the model has maps of its "
        "classes; with `annotate` it is drawn into the picture.",
    )
    return_image: bool = Field(
        False, description="Send the picture back, too, with its faces blurred: `picture` of the answer."
    )
    annotate: bool = Field(
        False, description="Draw the boxes, or the most probable class, into the picture that is sent back."
    )

    source: Source | None = Field(
        None,
        description="Where the image comes from, such as camera-1: monitoring compares each source by itself. Letters, "
        "digits, dots, underscores and hyphens; no names of people.",
    )

    @property
    def options(self) -> PredictOptions:
        """The same for the domain."""
        drawing: Drawing = "none"
        if self.return_image:
            drawing = "annotated" if self.annotate else "plain"
        return PredictOptions(self.confidence, self.iou, drawing, self.explain, source=self.source or "")

    def with_fields(self, fields: Mapping[str, str]) -> PredictParameters:
        """These, and form fields for what is not among them.

        Raises:
            BadRequestError: a field is wrong; the words say which.
        """
        given = {name: text for name, text in fields.items() if name in type(self).model_fields and text != ""}
        if not given:
            return self
        try:
            return PredictParameters.model_validate(given | self.model_dump(exclude_unset=True))
        except ValidationError as error:
            raise BadRequestError(describe_validation_error("form field", error.errors()[0])) from error


def query_parameters(request: Request) -> PredictParameters:
    """The query of a prediction.

    Raises:
        BadRequestError: a parameter is wrong; the words say which.
    """
    if not request.scope["query_string"]:
        return _NONE
    try:
        return PredictParameters.model_validate(dict(request.query_params))
    except ValidationError as error:
        raise BadRequestError(describe_validation_error("parameter", error.errors()[0])) from error


def openapi_parameters() -> list[dict[str, Any]]:
    """The query of a prediction, for the API's description."""
    properties = PredictParameters.model_json_schema()["properties"]
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "schema": {key: value for key, value in schema.items() if key != "description"},
            "description": schema["description"],
        }
        for name, schema in properties.items()
    ]


_NONE = PredictParameters()


def describe_validation_error(what: str, error: Mapping[str, Any]) -> str:
    """What pydantic found wrong, in one line that names the place."""
    # FastAPI puts where a value came from before its name; a rule on several values has no name.
    where = ".".join(str(part) for part in error["loc"] if part not in {"query", "path", "body"})
    reason = str(error["msg"]).removeprefix("Value error, ")
    return f"the {what} {where} is wrong: {reason}" if where else f"the {what}s are wrong: {reason}"
