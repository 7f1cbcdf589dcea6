"""ONNX Runtime, set up for a server that shares its processors."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np
import onnxruntime as ort

from handful_core.package import ExtraOutput, Package
from handful_core.package.errors import GraphError, RunTooLongError
from handful_core.runtime.deadline import RUN_SECONDS, WATCHDOG
from handful_core.runtime.session import check_graph, check_outputs
from handful_core.runtime.thread_policy import AdaptivePolicy, ThreadPolicy
from handful_core.vision.preprocess import Floats

_SAME_AS_REQUESTED = 1
"""kSameAsRequested of ONNX Runtime. By default an arena grows by powers of two, which would double what is kept."""


class OrtGraph:
    """A graph in ONNX Runtime.

    Where threads may spin it opens the graph twice: with all threads, which spin, and with a single one. The policy
    chooses for each run. The second session costs the weights' memory once more.

    Args:
        path: an ONNX file.
        threads: processors that one run may use.
        policy: decides how many threads a run gets; an `AdaptivePolicy` if None.
        run_seconds: a run that takes longer is ended.

    Raises:
        GraphError: the file is no ONNX graph.
    """

    def __init__(
        self, path: Path, threads: int, policy: ThreadPolicy | None = None, run_seconds: float = RUN_SECONDS
    ) -> None:
        self._run_seconds = run_seconds
        self._policy = policy or AdaptivePolicy(threads)
        spin = self._policy.spin and threads > 1
        self._all_threads = open_session(path, threads, spin=spin)
        self._single_thread = open_session(path, 1) if spin else self._all_threads
        self.inputs = _shapes(self._all_threads.get_inputs())
        self.outputs = _shapes(self._all_threads.get_outputs())

    def run(self, names: Sequence[str], feed: Mapping[str, Floats]) -> list[Floats]:
        """These outputs, for these inputs. Safe to call from several threads at once.

        Raises:
            GraphError: the runtime cannot run it.
            RunTooLongError: the run took too long, and was ended.
        """
        ticket = self._policy.begin()
        session = self._all_threads if ticket.all_threads else self._single_thread
        options = _run_options(shrink_arena=ticket.trim_memory)
        outputs = None
        try:
            with WATCHDOG.watch(self._run_seconds, partial(setattr, options, "terminate", True)) as expiry:
                outputs = session.run(names, feed, options)
        except Exception as error:  # ONNX Runtime's exceptions share no base but Exception.
            if expiry.expired:
                raise RunTooLongError(
                    f"a run of the graph took longer than {self._run_seconds:g} s and was ended",
                    "use a smaller model, or allow more time",
                ) from error
            raise GraphError(f"ONNX Runtime cannot run the graph ({error})", "package the model again") from error
        finally:
            self._policy.end(ticket, failed=outputs is None)
            if ticket.trim_memory:
                trim_heap()
        return [np.asarray(output, np.float32) for output in outputs]


class OnnxSession:
    """A model's graph in ONNX Runtime, checked against its manifest.

    Args:
        package: the package whose model is loaded.
        threads: processors that one run may use.
        policy: decides how many threads a run gets; an `AdaptivePolicy` if None.
        run_seconds: a run that takes longer is ended.
        graph: a file of the package's that is run in place of its own graph.

    Raises:
        GraphError: the file is no ONNX graph, or its input or output is not what the manifest says.
    """

    backend = "onnxruntime"

    def __init__(
        self,
        package: Package,
        threads: int,
        policy: ThreadPolicy | None = None,
        run_seconds: float = RUN_SECONDS,
        graph: str | None = None,
    ) -> None:
        path = package.root / graph if graph else package.model_path
        self._graph = OrtGraph(path, threads, policy, run_seconds)
        self._manifest = package.manifest
        self._output = package.manifest.output.name
        self._input = package.manifest.input.name
        check_graph(self._graph.inputs, self._graph.outputs, package.manifest)

    def run(self, tensor: Floats) -> Floats:
        """The graph's output for one input. Safe to call from several threads at once.

        Raises:
            GraphError: the graph cannot be run, or its answer has another shape than the manifest asks for.
        """
        return self.run_outputs(tensor, ())[0]

    def run_outputs(self, tensor: Floats, extra: Sequence[ExtraOutput]) -> list[Floats]:
        """The graph's output for one input, then these others, of one run.

        Raises:
            GraphError: as `run`.
        """
        outputs = self._graph.run([self._output, *(each.name for each in extra)], {self._input: tensor})
        check_outputs(outputs, self._manifest, extra)
        return outputs


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
    # Stop spinning when a run ends. Otherwise idle threads go on for a while and take processor time from others.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    _share_arena()
    options.add_session_config_entry("session.use_env_allocators", "1")
    # Keep the weights out of the shared arena, which never shrinks below what is in use: unloading a model then gives
    # its weights back to the system.
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    # The memory pattern would allocate one block of a whole run's size, in addition to the pieces that the arena holds.
    options.enable_mem_pattern = False
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
    """Register one arena for the working memory of all sessions of this process.

    It grows to what simultaneous runs need, and keeps it. Without an arena, each run of YOLO11n at 640 pixels takes
    33 MB from the system and gives them back: 8,000 page faults, a seventh of its time. With an arena per session,
    every model that was ever asked would keep that much.
    """
    info = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(info, ort.OrtArenaCfg({"arena_extend_strategy": _SAME_AS_REQUESTED}))


def _run_options(*, shrink_arena: bool) -> ort.RunOptions:
    """Options of one run, which can be ended by them. At its end the arena may free all chunks that nobody uses."""
    options = ort.RunOptions()
    if shrink_arena:
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options


def trim_heap() -> None:
    """Return freed memory to the system, where the C library is glibc.

    `free` alone gives back only the top of the heap: freed chunks below memory in use stay with the process.
    """
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)


def _shapes(nodes: Sequence[ort.NodeArg]) -> dict[str, Sequence[int | str]]:
    return {node.name: node.shape for node in nodes}
