"""OpenVINO, another backend: Intel's, the extra `openvino`, faster than ONNX Runtime on some processors."""

from __future__ import annotations

import importlib.util
import math
import sys
from collections import deque
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from handful_core.errors import ConfigError
from handful_core.package import ExtraOutput, Package
from handful_core.package.errors import GraphError, RunTooLongError
from handful_core.runtime.deadline import RUN_SECONDS
from handful_core.runtime.session import check_graph, check_outputs
from handful_core.runtime.thread_policy import AdaptivePolicy, ThreadPolicy
from handful_core.vision.preprocess import Floats

_OPTIONS = {
    # Threads that stay on their processor stay there beside another program's, too, while others idle.
    "ENABLE_CPU_PINNING": False,
}

_MAX_CHANNELS = 4096
"""Of a layer: constants with more numbers are weights, not biases."""
_MAX_COPIED = 1_000_000
"""Numbers that are copied at most, whatever a graph asks for. The starter model takes 70,000."""

_STUCK: list[Any] = []
"""Requests that did not end, with the memory that they read. Whoever let go of one would wait for its end."""


def is_installed() -> bool:
    """Whether OpenVINO is there; it is not loaded, which takes memory."""
    return importlib.util.find_spec("openvino") is not None


def installed_version() -> str:
    """OpenVINO's version."""
    try:
        return version("openvino")
    except PackageNotFoundError:  # Installed under another name, such as openvino-nightly.
        return "unknown"


def require_openvino() -> Any:
    """The module.

    Raises:
        ConfigError: it is not installed, or cannot be loaded here.
    """
    if not is_installed():
        raise ConfigError("OpenVINO is not installed", "install it with: pip install openvino")
    # Importing OpenVINO would tell Google Analytics of it, under a number that it keeps in ~/intel. Without this
    # module, which nothing here needs, it does neither.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError as error:
        raise ConfigError(f"OpenVINO cannot be loaded ({error})", "install it again: pip install openvino") from error
    return openvino


def stuck_runs() -> int:
    """Runs of this process that did not end. By itself the interpreter would wait for their end when it ends."""
    return len(_STUCK)


class _Compiled:
    """A graph that was compiled for so many threads a run.

    Args:
        graph: OpenVINO's.
    """

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self._idle: deque[Any] = deque()
        """Requests nobody uses. Each holds its own memory and serves one caller at a time; there are as many as there
        ever were calls at once. `pop` and `append` of a deque need no lock."""

    def take(self) -> Any:
        """A request that nobody else uses."""
        try:
            return self._idle.pop()
        except IndexError:
            return self.graph.create_infer_request()

    def give_back(self, request: Any) -> None:
        """It is idle."""
        self._idle.append(request)


class OpenVinoSession:
    """A graph in OpenVINO, on the processor, checked against its manifest.

    With several threads it compiles the graph twice: for one run with all threads, and for as many runs at once, each
    with one. The policy chooses for each run. This costs the weights' memory once more.

    Args:
        package: the package whose model is loaded.
        threads: processors that one run may use.
        run_seconds: a run that takes longer is ended.
        bf16: compute in BF16, which takes a processor that does.
        graph: a file of the package's that is run in place of its own graph.
        policy: decides how many threads a run gets; an `AdaptivePolicy` if None.

    Raises:
        ConfigError: OpenVINO is not installed, or this processor does not compute in this precision.
        GraphError: OpenVINO cannot load the graph, or its input or output is not what the manifest says.
    """

    backend = "openvino"

    def __init__(
        self,
        package: Package,
        threads: int,
        run_seconds: float = RUN_SECONDS,
        *,
        bf16: bool = False,
        graph: str | None = None,
        policy: ThreadPolicy | None = None,
    ) -> None:
        self._run_seconds = run_seconds
        self._policy = policy or AdaptivePolicy(threads, trims=False)
        self._stuck = False
        """A run did not end. OpenVINO cannot end a loop in a graph, so its threads work on, and no more are begun."""
        core = require_openvino().Core()
        self._manifest = package.manifest
        path = package.root / graph if graph else package.model_path
        if bf16 and not _computes_bf16(core):
            raise ConfigError("this processor does not compute in BF16", "run the model in FP32")
        # Of their own accord processors with AMX would always compute in bfloat16.
        options = _OPTIONS | {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
        }
        try:
            model = core.read_model(path)
            copy_shared_biases(model)
            all_threads = core.compile_model(model, "CPU", options | {"NUM_STREAMS": 1})
            each_one = core.compile_model(model, "CPU", options | {"NUM_STREAMS": threads}) if threads > 1 else None
        except RuntimeError as error:
            raise GraphError(
                f"{path.name} cannot be loaded by OpenVINO ({error})", "package the model again"
            ) from error
        check_graph(_shapes(all_threads.inputs), _shapes(all_threads.outputs), self._manifest)
        self._all_threads = _Compiled(all_threads)
        self._single_thread = _Compiled(each_one) if each_one else self._all_threads

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
        names = [self._manifest.output.name, *(each.name for each in extra)]
        if self._stuck:
            raise _too_long(self._run_seconds)
        ticket = self._policy.begin()
        compiled = self._all_threads if ticket.all_threads else self._single_thread
        outputs = None
        try:
            outputs = self._run(compiled, tensor, names)
        except RuntimeError as error:
            raise GraphError(f"OpenVINO cannot run the graph ({error})", "package the model again") from error
        finally:
            self._policy.end(ticket, failed=outputs is None)
        check_outputs(outputs, self._manifest, extra)
        return outputs

    def _run(self, compiled: _Compiled, tensor: Floats, names: Sequence[str]) -> list[Floats]:
        request = compiled.take()
        request.start_async({self._manifest.input.name: tensor}, share_inputs=True)
        if not request.wait_for(int(self._run_seconds * 1e3)):
            self._stuck = True
            _STUCK.append((request, tensor))
            raise _too_long(self._run_seconds)
        try:
            request.wait()  # It raises what went wrong.
            return [np.array(request.results[name], np.float32) for name in names]
        finally:
            compiled.give_back(request)


def copy_shared_biases(model: Any) -> None:
    """Let each node that reads a small constant, such as a bias, read a copy of its own.

    OpenVINO fuses a convolution with its bias and activation only if nobody else reads the bias. A model with a second
    look runs the same network twice, and without this every activation would be a pass of its own over memory.

    Args:
        model: an `openvino.Model`, which is changed.
    """
    from openvino import opset13

    left = _MAX_COPIED
    for node in model.get_ops():
        if node.get_type_name() != "Constant" or node.get_element_type().get_type_name() not in ("f32", "f16"):
            continue
        size = math.prod(node.get_output_shape(0))
        for reader in list(node.output(0).get_target_inputs())[1:] if size <= _MAX_CHANNELS else ():
            left -= size
            if left < 0:
                return
            reader.replace_source_output(opset13.constant(node.data, node.get_element_type()).output(0))


def _computes_bf16(core: Any) -> bool:
    """Whether the processor does it by itself: what OpenVINO emulates elsewhere is slower than FP32."""
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def computes_bf16() -> bool:
    """Whether this processor computes in BF16.

    Raises:
        ConfigError: OpenVINO is not installed.
    """
    return _computes_bf16(require_openvino().Core())


def _too_long(seconds: float) -> RunTooLongError:
    return RunTooLongError(
        f"a run of the graph took longer than {seconds:g} s and was given up", "use a smaller model, or allow more time"
    )


def _shapes(ports: Any) -> dict[str, tuple[int | str, ...]]:
    return {
        name: tuple(size.get_length() if size.is_static else str(size) for size in port.get_partial_shape())
        for port in ports
        for name in port.get_names()
    }
