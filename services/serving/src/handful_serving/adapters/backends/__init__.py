"""What opens packages: ONNX Runtime, OpenVINO, or the faster of the two."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from handful_core.package.archive import read_folder
from handful_core.runtime.model import VisionModel, load_model
from handful_core.runtime.openvino import OpenVinoSession, is_installed, require_openvino
from handful_serving.adapters.backends.measured import MeasuredOpener
from handful_serving.adapters.backends.memo import Memo
from handful_serving.adapters.onnx import model_opener
from handful_serving.domain.ports import OpenModel
from handful_serving.settings import InferenceBackend


def opener(backend: InferenceBackend, threads: int, cache: Path) -> OpenModel:
    """What opens a package's folder: every hash is checked, the session built, the golden image answered.

    Args:
        backend: what runs the graph; `auto` measures where OpenVINO is installed.
        threads: processors that one inference may use.
        cache: an existing folder, where `auto` notes what it measured.

    Raises:
        ConfigError: OpenVINO is asked for, and is not installed.
    """
    if backend == "openvino":
        require_openvino()
        return partial(_open, threads=threads)
    if backend == "auto" and is_installed():
        return MeasuredOpener(threads, Memo(cache / "backends.json"))
    return model_opener(threads)


def _open(folder: Path, threads: int) -> VisionModel:
    return load_model(read_folder(folder), threads, OpenVinoSession)
