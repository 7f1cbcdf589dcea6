"""How a package's graph is run: in which backend, and in which precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from handful_core.package import Manifest, ReducedPrecision
from handful_core.runtime.deadline import RUN_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from handful_core.package import Package
    from handful_core.runtime.session import Session

Backend = Literal["onnxruntime", "openvino"]
Reduced = Literal["bf16", "int8"]
_REDUCED: tuple[tuple[Backend, Reduced], ...] = (("openvino", "bf16"), ("openvino", "int8"), ("onnxruntime", "int8"))
"""What is known here. A package may name others, which a newer Handful knows."""


@dataclass(frozen=True, slots=True)
class Execution:
    """A backend and a precision."""

    backend: Backend
    reduced: Reduced | None = None
    """A precision below that of the package's own graph, which the package allows; its own if None."""

    def __str__(self) -> str:
        """Such as `openvino`, or `openvino bf16`."""
        return f"{self.backend} {self.reduced}" if self.reduced else self.backend


def executions(manifest: Manifest, backends: Sequence[Backend], *, reduced: bool = True) -> list[Execution]:
    """How a package may be run, in its own precision first, in the order of the backends.

    Args:
        manifest: the package's.
        backends: those that are installed.
        reduced: also in the precisions below its own that it allows.
    """
    own = [Execution(backend) for backend in backends]
    allowed = {(each.backend, each.precision) for each in manifest.precisions}
    lower = [Execution(*each) for each in _REDUCED if each in allowed and each[0] in backends]
    return own + lower if reduced else own


def reduced_precision(manifest: Manifest, execution: Execution) -> ReducedPrecision | None:
    """What the package says of a precision below its own; None of its own."""
    wanted = (execution.backend, execution.reduced)
    return next((each for each in manifest.precisions if (each.backend, each.precision) == wanted), None)


def session_maker(execution: Execution, run_seconds: float = RUN_SECONDS) -> Callable[[Package, int], Session]:
    """What makes sessions that run a package so. Its backend is loaded by the first of them.

    Args:
        execution: one that the package allows.
        run_seconds: a run that takes longer is ended.
    """

    def make(package: Package, threads: int) -> Session:
        entry = reduced_precision(package.manifest, execution)
        graph = entry.model if entry else None
        if execution.backend == "openvino":
            from handful_core.runtime.openvino import OpenVinoSession

            return OpenVinoSession(package, threads, run_seconds, bf16=execution.reduced == "bf16", graph=graph)
        from handful_core.runtime.onnx import OnnxSession

        return OnnxSession(package, threads, run_seconds=run_seconds, graph=graph)

    return make
