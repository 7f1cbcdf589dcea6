"""Files that would run code, or use up the machine, in whoever opens them without a thought."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fakes.packages import build_package
from handful_core.package import Package, write_package
from handful_core.package.archive import describe_files


class RunsCode:
    """A pickle of it writes a file when it is read: the trace that code ran.

    Args:
        trace: the file.
    """

    def __init__(self, trace: Path) -> None:
        self._trace = trace

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return exec, (f"import pathlib; pathlib.Path({str(self._trace)!r}).write_text('code ran')",)


def hostile_checkpoint(path: Path, trace: Path, **content: object) -> Path:
    """A file as torch writes it, with code beside what is in it: a real network, say."""
    import torch

    torch.save({"epoch": 0, "train_args": {}, **content, "extra": RunsCode(trace)}, path)
    return path


def hostile_pickle(path: Path, trace: Path) -> Path:
    """A bare pickle, as torch wrote files before 1.6."""
    path.write_bytes(pickle.dumps(RunsCode(trace), protocol=2))
    return path


def hostile_package(root: Path, harm: Callable[[onnx.ModelProto], None], **options: Any) -> Package:
    """A package that is right in all but its graph, of which `harm` makes one that gives the same answer at a price."""
    package = build_package(root, **options)
    model = onnx.load(package.model_path)
    harm(model)
    onnx.save(model, package.model_path)
    return write_package(root, package.manifest.model_copy(update={"files": describe_files(root)}))


def endless(model: onnx.ModelProto) -> None:
    """Go through a loop 2^62 times before answering."""
    model.graph.initializer.append(numpy_helper.from_array(np.int64(2**62), "rounds"))
    _loop(model)


def endless_on_white(model: onnx.ModelProto) -> None:
    """Go through a loop for hours if the image is all white; any other is answered as ever."""
    model.graph.node.extend(
        [
            helper.make_node("ReduceMin", ["images"], ["darkest"], keepdims=0),
            helper.make_node("Greater", ["darkest", "grey"], ["is_white"]),
            helper.make_node("Cast", ["is_white"], ["times"], to=TensorProto.INT64),
            helper.make_node("Mul", ["times", "many"], ["rounds"]),
        ]
    )
    model.graph.initializer.extend(
        [
            numpy_helper.from_array(np.float32(0.9), "grey"),
            numpy_helper.from_array(np.int64(2**31 - 1), "many"),  # OpenVINO counts in 32 bits.
        ]
    )
    _loop(model)


def _loop(model: onnx.ModelProto) -> None:
    """Multiply the answer by 1, `rounds` times."""
    shape = [dim.dim_value for dim in model.graph.output[0].type.tensor_type.shape.dim]
    state = [
        ("round", TensorProto.INT64, []),
        ("goes_on", TensorProto.BOOL, []),
        ("before", TensorProto.FLOAT, shape),
    ]
    results = ("still", "after")
    body = helper.make_graph(
        [helper.make_node("Identity", ["goes_on"], ["still"]), helper.make_node("Mul", ["before", "one"], ["after"])],
        "body",
        [helper.make_tensor_value_info(*each) for each in state],
        [helper.make_tensor_value_info(name, *each[1:]) for name, each in zip(results, state[1:], strict=True)],
        [numpy_helper.from_array(np.float32(1), "one")],
    )
    _put_behind(model, helper.make_node("Loop", ["rounds", "yes", "plain"], ["output0"], body=body))
    model.graph.initializer.append(numpy_helper.from_array(np.bool_(True), "yes"))


def hungry(megabytes: int = 4096) -> Callable[[onnx.ModelProto], None]:
    """Fill so much memory with zeros before answering, at each run: its size depends on the input's."""

    def harm(model: onnx.ModelProto) -> None:
        model.graph.node.extend(
            [
                helper.make_node("Shape", ["images"], ["sizes"]),
                helper.make_node("ReduceMin", ["sizes"], ["least"], keepdims=1),  # 1, of the batch.
                helper.make_node("Mul", ["least", "floats"], ["length"]),
                helper.make_node("ConstantOfShape", ["length"], ["zeros"]),
                helper.make_node("ReduceSum", ["zeros"], ["nothing"], keepdims=0),
            ]
        )
        model.graph.initializer.append(numpy_helper.from_array(np.int64([megabytes << 18]), "floats"))
        _put_behind(model, helper.make_node("Add", ["plain", "nothing"], ["output0"]))

    return harm


def _put_behind(model: onnx.ModelProto, node: onnx.NodeProto) -> None:
    """Let a node make the output from what was the output, called `plain` then."""
    for each in model.graph.node:
        each.output[:] = ["plain" if name == "output0" else name for name in each.output]
    model.graph.node.append(node)
