"""Packages to models, by ONNX Runtime."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from handful_core.package.archive import read_folder
from handful_core.runtime.model import VisionModel, load_model
from handful_serving.domain.ports import OpenModel


def model_opener(threads: int) -> OpenModel:
    """What opens a package's folder: every hash is checked, the session built, the golden image answered.

    Args:
        threads: processors that one inference may use.
    """
    return partial(_open, threads=threads)


def _open(folder: Path, threads: int) -> VisionModel:
    return load_model(read_folder(folder), threads)
