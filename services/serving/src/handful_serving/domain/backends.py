"""What runs a model's graph, and which of two is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Backend = Literal["onnxruntime", "openvino"]

MARGIN = 0.10
"""OpenVINO takes more memory, so it is kept only if it saves at least this share of the time."""
_NAMES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a backend takes for an image, in milliseconds."""

    alone: float
    """One image at a time, with all threads."""
    together: float
    """An image's share of the time when as many are asked at once as serving works on."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A backend, and why it is this one."""

    backend: Backend
    why: str
    settled: bool = False
    """It stays. One measurement may have met a busy machine: a choice is settled once another says the same."""


def choose(onnxruntime: Pace, openvino: Pace, before: Choice | None = None) -> Choice:
    """OpenVINO, if it is clearly faster for one image and no slower for many at once.

    Args:
        onnxruntime: what was measured of it.
        openvino: what was measured of it.
        before: what was chosen by the measurement before this one.
    """
    why = f"{_tell('onnxruntime', onnxruntime)}; {_tell('openvino', openvino)}"
    faster = openvino.alone <= onnxruntime.alone * (1 - MARGIN) and openvino.together <= onnxruntime.together
    backend: Backend = "openvino" if faster else "onnxruntime"
    return Choice(backend, why, settled=before is not None and before.backend == backend)


def _tell(backend: Backend, pace: Pace) -> str:
    return f"{_NAMES[backend]} {pace.alone:.1f} ms alone, {pace.together:.1f} ms an image under load"
