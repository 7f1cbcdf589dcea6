"""Precisions below FP32 that a package allows, each with the measurement that proved it (schema 1.2).

A reader of an older minor ignores them, and runs the package's own graph in FP32.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from handful_core.package.fields import FileName, Finite, Part, Unit

MAX_SCORE_GAP = 0.1
"""Most that the golden image's scores may differ in a reduced precision, whatever a package says."""
MIN_IOU = 0.9
_OPENVINO_GRAPH = ".xml"


def graph_files(graph: str) -> tuple[str, ...]:
    """The files of a graph: itself, and the weights that OpenVINO's own format keeps beside it."""
    return (graph, f"{graph.removesuffix(_OPENVINO_GRAPH)}.bin") if graph.endswith(_OPENVINO_GRAPH) else (graph,)


class GoldenTolerance(Part):
    """How far the golden image's answer may be from the FP32 one."""

    score_gap: Annotated[float, Field(ge=0, le=MAX_SCORE_GAP)]
    """Of a detection's confidence, or of a class's probability."""
    iou: Annotated[float, Field(ge=MIN_IOU, le=1)]
    """Least overlap of a box with the one of FP32."""


class Loss(Part):
    """What a precision loses, on images that judge it: a positive loss is worse than FP32."""

    metric: str
    """mAP50_95 or macro_f1, from 0 to 1."""
    value: Finite
    interval: tuple[Finite, Finite]
    """95 %, by a paired bootstrap over the images."""
    tolerance: Unit
    """The end of the interval lies at or below it."""
    images: int = Field(ge=1)
    split: str = "test"

    @model_validator(mode="after")
    def _proved(self) -> Self:
        if self.interval[0] > self.interval[1]:
            raise ValueError("loss.interval ends before it begins")
        if self.interval[1] > self.tolerance:
            raise ValueError("a precision that may lose more than its tolerance is not allowed")
        return self


class ReducedPrecision(Part):
    """A precision that was proved to lose no more than a tolerance, in one backend.

    A reader leaves out those whose names it does not know.
    """

    precision: str = Field(pattern=r"^[a-z0-9_]+$")
    """bf16 or int8."""
    backend: str = Field(pattern=r"^[a-z0-9_]+$")
    """onnxruntime or openvino."""
    model: FileName | None = None
    """The graph in this precision: ONNX, or OpenVINO's own format (.xml, with its weights beside it in the .bin file of
    the same name). None where the backend computes the package's own graph in it."""
    loss: Loss
    golden: GoldenTolerance
    speed_up: float = Field(gt=0, allow_inf_nan=False)
    """Time of FP32 in ONNX Runtime, divided by this one's, on `processor`."""
    processor: str
    versions: dict[str, str] = Field(default={})
    """Of what made and ran it: openvino, nncf, onnxruntime."""

    @property
    def files(self) -> tuple[str, ...]:
        """Files of the package that hold its graph."""
        return graph_files(self.model) if self.model else ()

    @model_validator(mode="after")
    def _has_its_graph(self) -> Self:
        if self.precision == "int8" and self.model is None:
            raise ValueError("int8 needs a graph of its own")
        if self.precision == "bf16" and self.model is not None:
            raise ValueError("bf16 computes the package's own graph")
        if self.backend == "onnxruntime" and self.model and self.model.endswith(_OPENVINO_GRAPH):
            raise ValueError(f"onnxruntime does not run {self.model}, which is in OpenVINO's format")
        return self
