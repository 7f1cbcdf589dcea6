"""The embedding of a detector: what the last layer of its backbone sees of an image, pooled into one vector."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper, shape_inference

from handful_core.package import ExtraOutput

NAME = "embedding"
_LAYER = re.compile(r"/model\.(\d+)/")
"""Ultralytics numbers the layers of its networks, and its exporter names nodes after them."""


def add_embedding(path: Path, layer: int) -> ExtraOutput | None:
    """Let a graph give the mean over all places of a layer's feature map, as another output.

    Nothing else of the graph changes, nor what it costs: one pooling of the smallest feature map.

    Args:
        path: a graph that Ultralytics exported; stays as it is where the layer has no one feature map.
        layer: the number of the backbone's last layer.

    Returns:
        The output, (1, channels); None if there is none.
    """
    model: Any = onnx.load(path)
    found = _feature_map(model, layer)
    if found is None:
        return None
    tensor, channels = found
    pooled = f"/{NAME}/pooled"
    model.graph.node.append(
        helper.make_node("GlobalAveragePool", [tensor], [pooled], name=f"/{NAME}/GlobalAveragePool")
    )
    model.graph.node.append(helper.make_node("Flatten", [pooled], [NAME], name=f"/{NAME}/Flatten"))
    model.graph.output.append(helper.make_tensor_value_info(NAME, TensorProto.FLOAT, [1, channels]))
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return ExtraOutput(name=NAME, shape=(1, channels))


def _feature_map(model: Any, layer: int) -> tuple[str, int] | None:
    """The one tensor (1, channels, rows, columns) that the layer hands on, and its channels."""
    nodes = _first_look(model)
    layers = {node.name: int(found[1]) for node in nodes if (found := _LAYER.search(node.name))}
    made = {name for node in nodes if layers.get(node.name) == layer for name in node.output}
    read = {name for node in nodes if layers.get(node.name) != layer for name in node.input}
    if len(made & read) != 1:
        return None
    (tensor,) = made & read
    for info in shape_inference.infer_shapes(model).graph.value_info:
        if info.name == tensor:
            batch, *sizes = (dim.dim_value for dim in info.type.tensor_type.shape.dim)
            return (tensor, int(sizes[0])) if batch == 1 and len(sizes) == 3 and sizes[0] > 0 else None
    return None


def _first_look(model: Any) -> list[Any]:
    """The nodes that don't depend on the image at half the size: all of them, unless there is a second look."""
    image = model.graph.input[0].name
    second: set[str] = set()
    nodes = []
    for node in model.graph.node:
        if second.intersection(node.input) or (node.op_type == "AveragePool" and image in node.input):
            second.update(node.output)
        else:
            nodes.append(node)
    return nodes
