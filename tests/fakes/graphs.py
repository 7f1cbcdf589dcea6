"""Tiny ONNX graphs that really look at the picture: they find coloured squares.

A picture is a grid of cells of 8 by 8 pixels. A cell filled with the colour of class k is an object of class k: the
graph averages each cell, and a linear rule per class fires on its colour alone. A firing cell scores
`sigmoid(sharpness / 2)`, any other less than `sigmoid(-sharpness / 2)`. So a test can say what must come out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Layout = Literal["raw", "nms_free", "nms_in_graph", "probabilities", "logits"]

SIZE = 64
CELL = 8
GRID = SIZE // CELL
SLOTS = 300
"""Rows of the (1, k, 6) layouts."""
COLOURS = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1), (1, 1, 1))
"""Red, green, blue of each class, 0 to 1."""
_TWIN = 1.1
"""A raw head's second anchor per cell is larger by this and scores 0.9 times as much: work for the suppression."""
_OPSET = 17


def write_graph(path: Path, head: Layout, classes: int, sharpness: float, *, limits: bool = False) -> None:
    """Write the graph of a head layout to `path`; with `limits` it has `embedding`, a classifier `class_maps` too."""
    build = {
        "raw": _raw,
        "nms_free": _nms_free,
        "nms_in_graph": _nms_in_graph,
        "probabilities": _probabilities,
        "logits": _logits,
    }[head]
    constants, nodes, shape = build(classes, sharpness)
    shapes = {"output0": shape}
    if limits and head in {"probabilities", "logits"}:
        constants, nodes = _with_limits(constants, nodes, classes)
        shapes |= {"embedding": (1, 3), "class_maps": (1, classes, GRID, GRID)}
    elif limits:
        nodes = [*nodes, _node("GlobalAveragePool", ["images"], ["mean"]), _node("Flatten", ["mean"], ["embedding"])]
        shapes |= {"embedding": (1, 3)}
    graph = helper.make_graph(
        nodes,
        f"tiny_{head}",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, (1, 3, SIZE, SIZE))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, each) for name, each in shapes.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)


_Parts = tuple[dict[str, np.ndarray], list[onnx.NodeProto], tuple[int, ...]]
_node = helper.make_node


def _colour_rule(classes: int, sharpness: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights (n, 3) and biases (n,): half the sharpness on the class's own colour, at most minus that on others."""
    colours = np.float32(COLOURS[:classes])
    return sharpness * (2 * colours - 1), np.float32(sharpness * (0.5 - colours.sum(axis=1)))


def _cell_scores(classes: int, sharpness: float) -> tuple[dict[str, np.ndarray], list[onnx.NodeProto]]:
    """`scores` (1, n, cells)."""
    weight, bias = _colour_rule(classes, sharpness)
    constants = {
        "weight": np.float32(weight.reshape(classes, 3, 1, 1)),
        "bias": bias,
        "flat": np.int64([1, classes, GRID * GRID]),
    }
    nodes = [
        _node("AveragePool", ["images"], ["cells"], kernel_shape=[CELL, CELL], strides=[CELL, CELL]),
        _node("Conv", ["cells", "weight", "bias"], ["rule"]),
        _node("Sigmoid", ["rule"], ["fires"]),
        _node("Reshape", ["fires", "flat"], ["scores"]),
    ]
    return constants, nodes


def _cell_boxes(scale: float = 1) -> np.ndarray:
    """(cells, 4): centre x, centre y, width, height."""
    rows, columns = np.divmod(np.arange(GRID * GRID), GRID)
    size = np.full(GRID * GRID, CELL * scale)
    return np.float32(np.stack([columns * CELL + CELL / 2, rows * CELL + CELL / 2, size, size], axis=1))


def _corners(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1)


def _twins() -> np.ndarray:
    return np.concatenate([_cell_boxes(), _cell_boxes(_TWIN)])


def _twin_scores(classes: int, sharpness: float) -> tuple[dict[str, np.ndarray], list[onnx.NodeProto]]:
    """`both` (1, n, 2 * cells)."""
    constants, nodes = _cell_scores(classes, sharpness)
    constants["less"] = np.float32([0.9])
    nodes += [_node("Mul", ["scores", "less"], ["lower"]), _node("Concat", ["scores", "lower"], ["both"], axis=2)]
    return constants, nodes


def _raw(classes: int, sharpness: float) -> _Parts:
    constants, nodes = _twin_scores(classes, sharpness)
    constants["boxes"] = _twins().T[None]
    nodes.append(_node("Concat", ["boxes", "both"], ["output0"], axis=1))
    return constants, nodes, (1, 4 + classes, 2 * GRID * GRID)


def _nms_free(classes: int, sharpness: float) -> _Parts:
    constants, nodes = _cell_scores(classes, sharpness)
    constants |= {"boxes": _corners(_cell_boxes())[None], "last": np.int64([2])}
    nodes += [
        _node("ReduceMax", ["scores"], ["best"], axes=[1], keepdims=0),
        _node("ArgMax", ["scores"], ["which"], axis=1, keepdims=0),
        _node("Cast", ["which"], ["class"], to=TensorProto.FLOAT),
        _node("Unsqueeze", ["best", "last"], ["best_column"]),
        _node("Unsqueeze", ["class", "last"], ["class_column"]),
        _node("Concat", ["boxes", "best_column", "class_column"], ["output0"], axis=2),
    ]
    return constants, nodes, (1, GRID * GRID, 6)


def _nms_in_graph(classes: int, sharpness: float) -> _Parts:
    constants, nodes = _twin_scores(classes, sharpness)
    corners = _corners(_twins())
    constants |= {
        "boxes": corners,
        "boxes_batch": corners[None],
        "most": np.int64([SLOTS]),
        "iou": np.float32([0.7]),
        "surely": np.float32([0.25]),
        "column_1": np.int64(1),
        "column_2": np.int64(2),
        "axis_0": np.int64([0]),
        "axis_1": np.int64([1]),
        "zero": np.int64([0]),
        "zeros": np.int64([0, 0]),
    }
    nodes += [
        _node("NonMaxSuppression", ["boxes_batch", "both", "most", "iou", "surely"], ["kept"]),  # (m, 3)
        _node("Gather", ["kept", "column_2"], ["anchor"], axis=1),
        _node("Gather", ["kept", "column_1"], ["which"], axis=1),
        _node("Gather", ["boxes", "anchor"], ["kept_boxes"], axis=0),
        _node("GatherND", ["both", "kept"], ["kept_scores"]),
        _node("Cast", ["which"], ["class"], to=TensorProto.FLOAT),
        _node("Unsqueeze", ["kept_scores", "axis_1"], ["score_column"]),
        _node("Unsqueeze", ["class", "axis_1"], ["class_column"]),
        _node("Concat", ["kept_boxes", "score_column", "class_column"], ["rows"], axis=1),
        _node("Shape", ["which"], ["found"]),
        _node("Sub", ["most", "found"], ["empty"]),
        _node("Concat", ["zeros", "empty", "zero"], ["pads"], axis=0),
        _node("Pad", ["rows", "pads"], ["padded"]),
        _node("Unsqueeze", ["padded", "axis_0"], ["output0"]),
    ]
    return constants, nodes, (1, SLOTS, 6)


def _logits(classes: int, sharpness: float, output: str = "output0") -> _Parts:
    weight, bias = _colour_rule(classes, sharpness)
    nodes = [
        _node("GlobalAveragePool", ["images"], ["mean"]),
        _node("Flatten", ["mean"], ["colour"]),
        _node("Gemm", ["colour", "weight", "bias"], [output], transB=1),
    ]
    return {"weight": np.float32(weight), "bias": bias}, nodes, (1, classes)


def _probabilities(classes: int, sharpness: float) -> _Parts:
    constants, nodes, shape = _logits(classes, sharpness, "logits")
    return constants, [*nodes, _node("Softmax", ["logits"], ["output0"], axis=1)], shape


def _with_limits(
    constants: dict[str, np.ndarray], nodes: list[onnx.NodeProto], classes: int
) -> tuple[dict[str, np.ndarray], list[onnx.NodeProto]]:
    """The mean colour as the embedding, and each cell's say as the maps: a logit is its map's mean and the bias."""
    constants = constants | {"kernel": constants["weight"].reshape(classes, 3, 1, 1)}
    more = [
        _node("Identity", ["colour"], ["embedding"]),
        _node("AveragePool", ["images"], ["cells"], kernel_shape=[CELL, CELL], strides=[CELL, CELL]),
        _node("Conv", ["cells", "kernel"], ["class_maps"]),
    ]
    return constants, [*nodes, *more]
