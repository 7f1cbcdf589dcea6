"""ONNX Runtime, set up for a server that shares its processors."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime as ort

from handful_core.package import Package
from handful_core.package.errors import GraphError
from handful_core.vision.graph import check_graph, check_output
from handful_core.vision.preprocess import Floats

_AS_MUCH_AS_IS_ASKED_FOR = 1
"""kSameAsRequested of ONNX Runtime: an arena does not grow by powers of two."""


class Session(Protocol):
    """Runs a graph: the seam where another backend fits in."""

    @property
    def backend(self) -> str:
        """What it is, in one word."""
        ...

    def run(self, tensor: Floats) -> Floats:
        """The graph's output for one input. Safe to call from several threads at once."""
        ...


class OnnxSession:
    """A graph in ONNX Runtime, checked against its manifest.

    One run gets all processors, which answers it soonest. Of as many runs as there are processors each gets one, since
    threads that share a run's work also wait for each other. The second way costs the weights' memory once more.

    Args:
        package: the package whose model is loaded.
        threads: processors that one run may use.

    Raises:
        GraphError: the file is no ONNX graph, or its input or output is not what the manifest says.
    """

    backend = "onnxruntime"

    def __init__(self, package: Package, threads: int) -> None:
        self._wide = open_session(package.model_path, threads)
        self._narrow = open_session(package.model_path, 1) if threads > 1 else self._wide
        self._threads = threads
        self._running = 0
        self._count = threading.Lock()
        self._manifest = package.manifest
        self._output = package.manifest.output.name
        self._input = package.manifest.input.name
        check_graph(_shapes(self._wide.get_inputs()), _shapes(self._wide.get_outputs()), package.manifest)

    def run(self, tensor: Floats) -> Floats:
        """The graph's output for one input. Safe to call from several threads at once.

        Raises:
            GraphError: the graph cannot be run, or its answer has another shape than the manifest asks for.
        """
        try:
            with self._session() as session:
                output = np.asarray(session.run([self._output], {self._input: tensor})[0], np.float32)
        except Exception as error:  # ONNX Runtime's exceptions share no base but Exception.
            raise GraphError(f"ONNX Runtime cannot run the graph ({error})", "package the model again") from error
        check_output(output.shape, self._manifest)
        return output

    @contextmanager
    def _session(self) -> Iterator[ort.InferenceSession]:
        """What runs the graph, by how many runs there are now."""
        with self._count:
            self._running += 1
            session = self._wide if self._running < self._threads else self._narrow
        try:
            yield session
        finally:
            with self._count:
                self._running -= 1


def open_session(path: Path, threads: int) -> ort.InferenceSession:
    """A graph in ONNX Runtime, which does not spin, and works in the memory that all sessions share.

    Args:
        path: an ONNX file.
        threads: processors that one run may use.

    Raises:
        GraphError: the file is no ONNX graph.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning threads burn the quota of a container while they wait.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    _share_arena()
    options.add_session_config_entry("session.use_env_allocators", "1")
    # The weights stay outside: a model that is let go gives them back.
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    options.enable_mem_pattern = False  # One block for all of a run would lie in the arena beside the pieces it is for.
    options.log_severity_level = 3
    providers = [p for p in ("CUDAExecutionProvider", "CPUExecutionProvider") if p in ort.get_available_providers()]
    try:
        return ort.InferenceSession(path, options, providers=providers)
    except Exception as error:  # ONNX Runtime's exceptions share no base but Exception.
        raise GraphError(
            f"{path.name} cannot be loaded by ONNX Runtime ({error})", "package the model again"
        ) from error


@cache
def _share_arena() -> None:
    """One place to work in for all sessions of this process, which grows to what runs at once need and is kept.

    Without any, each run of YOLO11n at 640 pixels takes 33 MB from the system and gives them back: 8,000 page faults,
    a seventh of its time. An arena for each session would keep as much for every model that was ever asked.
    """
    info = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(info, ort.OrtArenaCfg({"arena_extend_strategy": _AS_MUCH_AS_IS_ASKED_FOR}))


def _shapes(nodes: Sequence[ort.NodeArg]) -> dict[str, Sequence[int | str]]:
    return {node.name: node.shape for node in nodes}
