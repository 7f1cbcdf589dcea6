"""Exporting trained weights to ONNX, and reading off what came out."""

from __future__ import annotations

import ast
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx

from handful_core.errors import ConfigError, PackageError
from handful_core.package import Input, Output, OutputLayout, Thresholds
from handful_trainer.tasks.detection.embedding import add_embedding
from handful_trainer.tasks.detection.settings import DetectionConfig
from handful_trainer.tasks.detection.ultralytics import open_network, read_checkpoint
from handful_trainer.tasks.engine import WEIGHTS, ExportedGraph

if TYPE_CHECKING:
    from ultralytics import YOLO

_PATHS = ("data", "model", "pretrained", "project", "save_dir")
"""Arguments that name a place on the machine that trained."""
_OF_THE_MACHINE = ("git",)
"""Where the code lay, its branch and its newest commit's message; the manifest names the commit."""
OPSET = 20
"""Supported by ONNX Runtime since 1.17."""

NMS_OPTION: dict[OutputLayout, bool | None] = {
    OutputLayout.RAW: None,
    OutputLayout.NMS_FREE: False,
    OutputLayout.NMS_IN_GRAPH: True,
}
"""Ultralytics' `nms` argument for each layout (8.4.142 and newer; before, it was `end2end`)."""


def export(config: DetectionConfig, weights: Path, folder: Path, thresholds: Thresholds) -> ExportedGraph:
    """Write the graph as `model.onnx`, and the weights where the package is to hold them.

    Args:
        config: the training's configuration.
        weights: a `.pt` file.
        folder: the package's folder.
        thresholds: are baked into a graph with NMS in it.

    Raises:
        ConfigError: the network cannot be exported with this layout.
    """
    # Ultralytics also writes the dataset's path into what it exports: what is exported is the cleaned copy.
    plain = folder / WEIGHTS
    write_checkpoint(weights, plain)
    head = OutputLayout.RAW if config.package.head == "auto" else OutputLayout(config.package.head)
    target = folder / "model.onnx"
    network = open_network(plain)
    if config.package.second_look:
        from handful_trainer.tasks.detection.second_look import look_twice

        look_twice(network.model)
    graph = export_onnx(network, target, config.training.imgsz, head, thresholds.confidence, thresholds.iou)
    if not config.package.weights:
        plain.unlink()
    return graph


def export_onnx(
    model: YOLO, target: Path, imgsz: int, head: OutputLayout, confidence: float, iou: float
) -> ExportedGraph:
    """Export a network as an FP32 graph of static shape.

    Args:
        model: with its weights, which were loaded from a file: Ultralytics writes the graph beside that.
        target: where the graph goes.
        imgsz: side of the square input, in pixels.
        head: the layout of the output.
        confidence: threshold that is baked into a graph with NMS in it.
        iou: overlap that is baked into a graph with NMS in it.

    Raises:
        ConfigError: the network cannot be exported with this layout.
    """
    if head is OutputLayout.NMS_FREE and getattr(model.model.model[-1], "one2one_cv2", None) is None:
        raise ConfigError("this network has no NMS-free head", "set package.head to raw, or train yolo26")
    baked = {"conf": confidence, "iou": iou} if head is OutputLayout.NMS_IN_GRAPH else {}
    exported = Path(
        model.export(
            format="onnx", imgsz=imgsz, opset=OPSET, simplify=True, device="cpu", nms=NMS_OPTION[head], **baked
        )
    )
    shutil.move(exported, target)
    graph = read_graph(target, imgsz)
    embedding = add_embedding(target, len(model.model.yaml["backbone"]) - 1)
    return replace(graph, output=graph.output.model_copy(update={"embedding": embedding}))


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


def write_checkpoint(weights: Path, target: Path) -> None:
    """Copy Ultralytics' weights without the paths of the machine that trained them.

    What they say of the training stays, what they say of the machine goes.

    Args:
        weights: a `.pt` file.
        target: where the copy goes.

    Raises:
        UnsafeWeightsError: the file is damaged, or holds more than weights.
    """
    import torch

    checkpoint = read_checkpoint(weights)
    kept = {key: value for key, value in checkpoint.items() if key not in _OF_THE_MACHINE}
    if "train_args" in kept:
        kept["train_args"] = {**kept["train_args"], **_names(kept["train_args"])}
    for key in ("model", "ema"):
        arguments = getattr(kept.get(key), "args", None)
        if isinstance(arguments, dict):
            arguments.update(_names(arguments))
        elif arguments is not None:
            vars(arguments).update(_names(vars(arguments)))
        origin = getattr(kept.get(key), "pt_path", None)
        if isinstance(origin, str):
            kept[key].pt_path = Path(origin).name
    torch.save(kept, target)


def _names(arguments: dict[str, Any]) -> dict[str, str]:
    """The last part of each path."""
    return {key: Path(arguments[key]).name for key in _PATHS if isinstance(arguments.get(key), str)}
