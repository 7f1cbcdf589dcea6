"""ONNX Runtime, set up for a server that shares its processors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime as ort

from handful_core.package import Manifest, Package
from handful_core.package.errors import GraphError
from handful_core.vision.preprocess import Floats


class Session(Protocol):
    """Runs a graph: the seam where another backend fits in."""

    def run(self, tensor: Floats) -> Floats:
        """The graph's output for one input. Safe to call from several threads at once."""
        ...


class OnnxSession:
    """A graph in ONNX Runtime, checked against its manifest.

    Args:
        package: the package whose model is loaded.
        threads: processors that one run may use.

    Raises:
        GraphError: the file is no ONNX graph, or its input or output is not what the manifest says.
    """

    def __init__(self, package: Package, threads: int) -> None:
        self._session = open_session(package.model_path, threads)
        self._output = package.manifest.output.name
        self._input = package.manifest.input.name
        self._expected = package.manifest.expected_shape
        _check_graph(self._session, package.manifest)

    def run(self, tensor: Floats) -> Floats:
        """The graph's output for one input. Safe to call from several threads at once.

        Raises:
            GraphError: the graph cannot be run, or its answer has another shape than the manifest asks for.
        """
        try:
            output = np.asarray(self._session.run([self._output], {self._input: tensor})[0], np.float32)
        except Exception as error:  # ONNX Runtime's exceptions share no base but Exception.
            raise GraphError(f"ONNX Runtime cannot run the graph ({error})", "package the model again") from error
        if not _agrees(output.shape, self._expected):  # A graph with free sizes may pass the check when it is loaded.
            raise _disagreement("output", self._output, output.shape, self._expected)
        return output


def open_session(path: Path, threads: int) -> ort.InferenceSession:
    """A graph in ONNX Runtime, which neither spins nor hoards memory.

    Args:
        path: an ONNX file.
        threads: processors that one run may use.

    Raises:
        GraphError: the file is no ONNX graph.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning threads burn the quota of a container while they wait; the arena never gives memory back.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    providers = [p for p in ("CUDAExecutionProvider", "CPUExecutionProvider") if p in ort.get_available_providers()]
    try:
        return ort.InferenceSession(path, options, providers=providers)
    except Exception as error:  # ONNX Runtime's exceptions share no base but Exception.
        raise GraphError(
            f"{path.name} cannot be loaded by ONNX Runtime ({error})", "package the model again"
        ) from error


def _check_graph(session: ort.InferenceSession, manifest: Manifest) -> None:
    inputs = {node.name: node.shape for node in session.get_inputs()}
    outputs = {node.name: node.shape for node in session.get_outputs()}
    _check_node("input", manifest.input.name, inputs, (1, 3, manifest.input.height, manifest.input.width))
    _check_node("output", manifest.output.name, outputs, manifest.expected_shape)


def _check_node(kind: str, name: str, nodes: dict[str, list[int | str]], expected: tuple[int | None, ...]) -> None:
    if name not in nodes:
        raise GraphError(f"the graph has no {kind} {name!r}, it has {', '.join(nodes)}", "package the model again")
    if not _agrees(nodes[name], expected):
        raise _disagreement(kind, name, nodes[name], expected)


def _agrees(shape: Sequence[int | str], expected: tuple[int | None, ...]) -> bool:
    return len(shape) == len(expected) and all(
        want is None or not isinstance(have, int) or have == want for have, want in zip(shape, expected, strict=True)
    )


def _disagreement(kind: str, name: str, shape: Sequence[int | str], expected: tuple[int | None, ...]) -> GraphError:
    return GraphError(
        f"the graph's {kind} {name!r} has shape {list(shape)}, the manifest asks for {list(expected)}",
        "package the model again",
    )
