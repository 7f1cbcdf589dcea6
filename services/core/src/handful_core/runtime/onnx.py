"""ONNX Runtime, set up for a server that shares its processors."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime as ort

from handful_core.package import Package
from handful_core.package.errors import GraphError
from handful_core.runtime.signature import check_graph, check_output
from handful_core.runtime.thread_policy import AdaptivePolicy
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


class OrtGraph:
    """A graph in ONNX Runtime.

    One run gets all processors, which answers it soonest. Of as many runs as there are processors each gets one, since
    threads that share a run's work also wait for each other. The second way costs the weights' memory once more.

    Args:
        path: an ONNX file.
        threads: processors that one run may use.

    Raises:
        GraphError: the file is no ONNX graph.
    """

    def __init__(self, path: Path, threads: int) -> None:
        self._wide = open_session(path, threads, spin=threads > 1)
        self._narrow = open_session(path, 1) if threads > 1 else self._wide
        self._breadth = AdaptivePolicy(threads)
        self.inputs = _shapes(self._wide.get_inputs())
        self.outputs = _shapes(self._wide.get_outputs())

    def run(self, names: Sequence[str], feed: Mapping[str, Floats]) -> list[Floats]:
        """These outputs, for these inputs. Safe to call from several threads at once.

        Raises:
            GraphError: the runtime cannot run it.
        """
        run = self._breadth.begin()
        found = None
        try:
            found = (self._wide if run.wide else self._narrow).run(names, feed, _tidying() if run.tidy else None)
        except Exception as error:  # ONNX Runtime's exceptions share no base but Exception.
            raise GraphError(f"ONNX Runtime cannot run the graph ({error})", "package the model again") from error
        finally:
            self._breadth.end(run, failed=found is None)
            if run.tidy:
                _trim()
        return [np.asarray(output, np.float32) for output in found]


class OnnxSession:
    """A model's graph in ONNX Runtime, checked against its manifest.

    Args:
        package: the package whose model is loaded.
        threads: processors that one run may use.

    Raises:
        GraphError: the file is no ONNX graph, or its input or output is not what the manifest says.
    """

    backend = "onnxruntime"

    def __init__(self, package: Package, threads: int) -> None:
        self._graph = OrtGraph(package.model_path, threads)
        self._manifest = package.manifest
        self._output = package.manifest.output.name
        self._input = package.manifest.input.name
        check_graph(self._graph.inputs, self._graph.outputs, package.manifest)

    def run(self, tensor: Floats) -> Floats:
        """The graph's output for one input. Safe to call from several threads at once.

        Raises:
            GraphError: the graph cannot be run, or its answer has another shape than the manifest asks for.
        """
        output = self._graph.run([self._output], {self._input: tensor})[0]
        check_output(output.shape, self._manifest)
        return output


def open_session(path: Path, threads: int, *, spin: bool = False) -> ort.InferenceSession:
    """A graph in ONNX Runtime, which works in the memory that all sessions share.

    Args:
        path: an ONNX file.
        threads: processors that one run may use.
        spin: let threads that wait for each other spin, as long as a run lasts. They sleep if not, and always between
            runs: in a container, processors that spin use up its quota.

    Raises:
        GraphError: the file is no ONNX graph.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin else "0")
    options.add_session_config_entry("session.force_spinning_stop", "1")
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


@cache
def _tidying() -> ort.RunOptions:
    """Let a run give back what it does not need, and what it needed when it ends."""
    options = ort.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options


def _trim() -> None:
    """Give the system what was freed, where the C library is glibc: it keeps what lies below something in use."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)


def _shapes(nodes: Sequence[ort.NodeArg]) -> dict[str, Sequence[int | str]]:
    return {node.name: node.shape for node in nodes}
