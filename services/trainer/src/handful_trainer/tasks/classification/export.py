"""Exporting trained weights to ONNX."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import onnx
import torch

from handful_core.package import Output, OutputLayout
from handful_trainer.tasks.classification.network import read_weights
from handful_trainer.tasks.classification.settings import ClassificationConfig
from handful_trainer.tasks.engine import ExportedGraph

WEIGHTS = "weights.safetensors"
"""Name of the weights in a package."""
OPSET = 20
"""Supported by ONNX Runtime since 1.17."""
_OUTPUT = "output0"


def export(config: ClassificationConfig, weights: Path, folder: Path) -> ExportedGraph:
    """Write the graph as `model.onnx`, and the weights where the package is to hold them.

    Args:
        config: the training's configuration.
        weights: a file that `write_weights` wrote.
        folder: the package's folder.
    """
    module, network = read_weights(weights)
    target = folder / "model.onnx"
    example = torch.zeros(1, 3, network.height, network.width)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Its own deprecations.
        torch.onnx.export(
            module,
            (example,),
            target,
            input_names=[network.input.name],
            output_names=[_OUTPUT],
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    remove_traces(target)
    if config.package.weights:
        shutil.copyfile(weights, folder / WEIGHTS)
    output = Output(name=_OUTPUT, head=OutputLayout.LOGITS, shape=(1, len(network.classes)))
    return ExportedGraph(target, network.classes, network.input, output, OPSET, WEIGHTS)


def remove_traces(path: Path) -> None:
    """Take out which lines of which files a graph comes from: places on the machine that exported it."""
    model: Any = onnx.load(path)
    for part in (model, model.graph, *_parts(model.graph), *model.functions):
        del part.metadata_props[:]
        part.doc_string = ""
    onnx.save(model, path)


def _parts(graph: Any) -> Iterable[Any]:
    return (*graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info)
