"""Exporting trained weights to ONNX, and reading off what came out."""

from __future__ import annotations

import ast
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from handful_core.errors import ConfigError, PackageError
from handful_core.package import Input, Output, OutputLayout
from handful_trainer.config import PackageConfig

OPSET = 20
"""Supported by ONNX Runtime since 1.17."""

NMS_OPTION: dict[OutputLayout, bool | None] = {
    OutputLayout.RAW: None,
    OutputLayout.NMS_FREE: False,
    OutputLayout.NMS_IN_GRAPH: True,
}
"""Ultralytics' `nms` argument for each layout (8.4.142 and newer; before, it was `end2end`)."""


@dataclass(frozen=True, slots=True)
class ExportedGraph:
    """An ONNX file and what its manifest has to say of it."""

    path: Path
    classes: tuple[str, ...]
    input: Input
    output: Output
    opset: int


def wanted_head(config: PackageConfig) -> OutputLayout:
    """The layout that the configuration asks for."""
    return OutputLayout.RAW if config.head == "auto" else OutputLayout(config.head)


def export_onnx(
    weights: Path, target: Path, imgsz: int, head: OutputLayout, confidence: float, iou: float
) -> ExportedGraph:
    """Export weights as an FP32 graph of static shape.

    Args:
        weights: a `.pt` file.
        target: where the graph goes.
        imgsz: side of the square input, in pixels.
        head: the layout of the output.
        confidence: threshold that is baked into a graph with NMS in it.
        iou: overlap that is baked into a graph with NMS in it.

    Raises:
        ConfigError: the network cannot be exported with this layout.
    """
    from ultralytics import YOLO

    model = YOLO(str(weights))
    if head is OutputLayout.NMS_FREE and getattr(model.model.model[-1], "one2one_cv2", None) is None:
        raise ConfigError("this network has no NMS-free head", "set package.head to raw, or train yolo26")
    baked = {"conf": confidence, "iou": iou} if head is OutputLayout.NMS_IN_GRAPH else {}
    exported = Path(
        model.export(
            format="onnx", imgsz=imgsz, opset=OPSET, simplify=True, device="cpu", nms=NMS_OPTION[head], **baked
        )
    )
    shutil.move(exported, target)
    return read_graph(target, imgsz)


def read_graph(path: Path, imgsz: int | None = None) -> ExportedGraph:
    """Read a graph that Ultralytics exported: class names from its metadata, the layout from its shapes.

    Raises:
        PackageError: it is not such a graph.
    """
    model = onnx.load(str(path), load_external_data=False)
    metadata = {item.key: item.value for item in model.metadata_props}
    names = _literal(metadata, "names")
    if not isinstance(names, dict):
        raise PackageError(f"{path} carries no class names", "export it with Ultralytics")
    classes = tuple(str(names[key]) for key in sorted(names))
    graph_in, graph_out = model.graph.input[0], model.graph.output[0]
    *_, height, width = _shape(graph_in)
    shape = _shape(graph_out)
    return ExportedGraph(
        path=path,
        classes=classes,
        input=Input(name=graph_in.name, width=width or imgsz, height=height or imgsz),
        output=Output(name=graph_out.name, head=_head(path, shape, classes, metadata), shape=shape),
        opset=next(entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"}),
    )


def _head(path: Path, shape: tuple[int, ...], classes: tuple[str, ...], metadata: dict[str, str]) -> OutputLayout:
    """The layout, by the output's shape: what the metadata call end2end changed its meaning between versions."""
    if len(shape) == 3 and shape[1] == 4 + len(classes) and shape[2] != 6:
        return OutputLayout.RAW
    if len(shape) == 3 and shape[2] == 6:
        return OutputLayout.NMS_FREE if _literal(metadata, "end2end") is True else OutputLayout.NMS_IN_GRAPH
    raise PackageError(
        f"{path} has an output of shape {list(shape)}, which is no known layout", "export a detection model"
    )


def _literal(metadata: dict[str, str], key: str) -> Any:
    try:
        return ast.literal_eval(metadata.get(key, "None"))
    except (ValueError, SyntaxError):
        return None


def _shape(node: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(int(dim.dim_value) for dim in node.type.tensor_type.shape.dim)
