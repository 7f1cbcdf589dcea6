"""Exporting trained weights to ONNX."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper

from handful_core.package import Output, OutputLayout
from handful_trainer.tasks.classification.export.outputs import ExportedClassifier
from handful_trainer.tasks.classification.network import read_weights
from handful_trainer.tasks.classification.settings import ClassificationConfig
from handful_trainer.tasks.engine import ExportedGraph

WEIGHTS = "weights.safetensors"
"""Name of the weights in a package."""
OPSET = 20
"""Supported by ONNX Runtime since 1.17."""
_OUTPUT = "output0"


def export(config: ClassificationConfig, weights: Path, folder: Path) -> ExportedGraph:
    """Write the graph as `model.onnx`, for any number of images, and the weights where the package is to hold them.

    Args:
        config: the training's configuration.
        weights: a file that `write_weights` wrote.
        folder: the package's folder.
    """
    module, network = read_weights(weights)
    exported = ExportedClassifier(module, network)
    target = folder / "model.onnx"
    example = torch.zeros(2, 3, network.height, network.width)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Its own deprecations.
        torch.onnx.export(
            exported,
            (example,),
            target,
            input_names=[network.input.name],
            output_names=[_OUTPUT, *exported.names],
            dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    remove_traces(target)
    if config.package.weights:
        shutil.copyfile(weights, folder / WEIGHTS)
    output = Output(
        name=_OUTPUT,
        head=OutputLayout.LOGITS,
        shape=(1, len(network.classes)),
        embedding=exported.embedding,
        class_maps=exported.class_maps,
    )
    return ExportedGraph(target, network.classes, network.input, output, OPSET, WEIGHTS)


def remove_traces(path: Path) -> None:
    """Take out which lines of which files a graph comes from: places on the machine that exported it."""
    model: Any = onnx.load(path)
    for part in (model, model.graph, *_parts(model.graph), *model.functions):
        del part.metadata_props[:]
        part.doc_string = ""
    onnx.save(model, path)


def divide_logits(path: Path, output: str, temperature: float) -> None:
    """Let a graph divide its logits by a temperature: whoever reads it gets calibrated probabilities.

    Args:
        path: an ONNX file.
        output: name of its logits.
        temperature: above 0.
    """
    model: Any = onnx.load(path)
    before = f"{output}_of_temperature_1"
    for node in model.graph.node:
        node.output[:] = [before if name == output else name for name in node.output]
        node.input[:] = [before if name == output else name for name in node.input]
    divisor = numpy_helper.from_array(np.float32(temperature), "temperature")
    model.graph.initializer.append(divisor)
    model.graph.node.append(helper.make_node("Div", [before, divisor.name], [output]))
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _parts(graph: Any) -> Iterable[Any]:
    return (*graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info)
