"""INT8 graphs: by NNCF for OpenVINO and ONNX Runtime, or by ONNX Runtime's own quantisation.

Weights and activations become 8-bit integers, per channel, by what training images show. A graph for OpenVINO is
written in its own format. ONNX with QDQ nodes is for ONNX Runtime. A detector's last part stays in floating point: its
outputs are boxes in pixels beside scores from 0 to 1, which one scale of 8 bits cannot hold. In OpenVINO's format this
holds for what puts these outputs together. The convolutions before have other names there and are quantised.
"""

from __future__ import annotations

import importlib.util
import logging
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from handful_core.package import Input, Package
from handful_core.runtime.openvino import is_installed, require_openvino
from handful_core.vision.decode import decode_image
from handful_core.vision.preprocess import Floats, to_input
from handful_trainer.dataset.prepared import PreparedDataset

_PART = re.compile(r"/model\.(\d+)/")
"""Ultralytics numbers the parts of its networks; the last one is the head."""


def calibration_images(dataset: PreparedDataset, count: int) -> list[Path]:
    """So many training images, evenly from first to last."""
    paths = dataset.images("train")
    places = np.linspace(0, len(paths) - 1, min(count, len(paths))).round().astype(int)
    return [paths[i] for i in places]


def nncf_is_installed() -> bool:
    """Whether NNCF can quantise for OpenVINO here."""
    return is_installed() and importlib.util.find_spec("nncf") is not None


def quantize_by_nncf(package: Package, target: Path, images: Sequence[Path]) -> None:
    """Write an INT8 graph as ONNX.

    Args:
        package: FP32.
        target: the ONNX file that is written.
        images: calibrate.
    """
    onnx.save(_by_nncf(package, onnx.load(package.model_path), images), target)


def quantize_for_openvino(package: Package, target: Path, images: Sequence[Path]) -> None:
    """Write an INT8 graph in OpenVINO's own format.

    Of YOLO11n with a second look, OpenVINO 2026.4 read NNCF's ONNX otherwise than ONNX Runtime: its boxes had no
    partner in FP32. What NNCF makes of the graph as OpenVINO reads it agrees with FP32. It is converted first, which
    makes one node of each SiLU. NNCF would else quantise the parts of each, and OpenVINO could fuse none.

    Args:
        package: FP32.
        target: the XML file that is written; the weights go beside it, to a file of the same name that ends in .bin.
        images: calibrate.
    """
    openvino = require_openvino()
    model = openvino.convert_model(package.model_path)
    openvino.save_model(_by_nncf(package, model, images), target, compress_to_fp16=False)


def _by_nncf(package: Package, graph: Any, images: Sequence[Path]) -> Any:
    """The graph with 8-bit integers, in the format that it came in."""
    require_openvino()  # It keeps NNCF, too, from reporting its use.
    import nncf
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    def prepared(path: Path) -> dict[str, Floats]:
        return {spec.name: _prepared(path, spec)}

    spec = package.manifest.input
    nncf.set_log_level(logging.ERROR)
    return nncf.quantize(
        graph,
        nncf.Dataset(list(images), prepared),
        # Activations such as SiLU are not symmetric.
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(images),
        # Of the starter model both come nearer to FP32 than NNCF's defaults: see docs/adr/0020.
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            activations_range_estimator_params=RangeEstimatorParametersSet.HISTOGRAM, disable_bias_correction=True
        ),
        # OpenVINO folds some nodes away: not all names are there.
        ignored_scope=nncf.IgnoredScope(names=head_nodes(package.model_path), validate=False),
    )


def quantize_by_onnxruntime(package: Package, target: Path, images: Sequence[Path]) -> None:
    """Write an INT8 graph. The arguments are those of `quantize_by_nncf`."""
    with tempfile.TemporaryDirectory(prefix="handful-int8-") as folder, _quiet():
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(package.model_path, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            target,
            _Calibration(package.manifest.input, images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=head_nodes(prepared),
            calibrate_method=CalibrationMethod.MinMax,
        )


class _Calibration(CalibrationDataReader):  # type: ignore[misc]
    """Images, prepared as serving prepares them."""

    def __init__(self, spec: Input, images: Sequence[Path]) -> None:
        self._paths = iter(images)
        self._spec = spec

    def get_next(self) -> dict[str, Floats] | None:
        path = next(self._paths, None)
        return None if path is None else {self._spec.name: _prepared(path, self._spec)}


def _prepared(path: Path, spec: Input) -> Floats:
    return to_input(decode_image(path.read_bytes()), spec)[0]


def head_nodes(graph: Path) -> list[str]:
    """Names of the nodes that belong to the last part of one of Ultralytics' networks; none of another network."""
    names = [node.name for node in onnx.load(graph, load_external_data=False).graph.node]
    parts = {name: int(found[1]) for name in names if (found := _PART.search(name))}
    last = max(parts.values(), default=-1)
    return [name for name, part in parts.items() if part == last]


@contextmanager
def _quiet() -> Iterator[None]:
    """ONNX Runtime advises to prepare the graph, which was done."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
