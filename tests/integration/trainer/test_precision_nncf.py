"""INT8 where NNCF is installed: each backend gets a graph that it reads, and the package lists all files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fakes.packages import INT8, build_package, picture
from fakes.second_look import looks_twice
from fakes.squares import SCENES, write_squares
from handful_core.package.archive import read_folder
from handful_core.runtime.model import VisionModel
from handful_core.runtime.onnx import OnnxSession
from handful_core.runtime.openvino import OpenVinoSession, require_openvino
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.packaging.precision import allow, try_precisions
from handful_trainer.packaging.quantization import calibration_images, nncf_is_installed, quantize_for_openvino


@pytest.mark.skipif(not nncf_is_installed(), reason="NNCF is not installed: services/trainer[precision]")
def test_each_backend_gets_a_graph_that_it_reads(tmp_path: Path) -> None:
    dataset = PreparedDataset.open(write_squares(tmp_path / "squares", (SCENES * 100)[:100]))
    package = build_package(tmp_path / "package")
    copy, trials = try_precisions(package, dataset, tmp_path / "copy", ["int8"], images=4, tolerance=0.05)
    assert {trial.execution.backend: trial.graph for trial in trials} == {
        "openvino": "model.int8.xml",
        "onnxruntime": INT8,
    }
    scene = picture({(2, 3): "5"})
    plain = VisionModel(package, OnnxSession(package, 1)).predict(scene).detections
    # The toy's only convolution is its head, which loses more than a package may: it is not loaded as one.
    for session in (OpenVinoSession(copy, 1, graph="model.int8.xml"), OnnxSession(copy, 1, graph=INT8)):
        found = VisionModel(copy, session).predict(scene).detections
        assert np.allclose(found.boxes, plain.boxes, atol=2)
        assert found.classes.tolist() == plain.classes.tolist()


@pytest.mark.skipif(not nncf_is_installed(), reason="NNCF is not installed: services/trainer[precision]")
@pytest.mark.parametrize(
    ("kept", "files"), [("openvino", {"model.int8.xml", "model.int8.bin"}), ("onnxruntime", {INT8}), ("", set())]
)
def test_what_is_not_allowed_leaves_no_graph_behind(tmp_path: Path, kept: str, files: set[str]) -> None:
    dataset = PreparedDataset.open(write_squares(tmp_path / "squares", (SCENES * 100)[:100]))
    package = build_package(tmp_path / "package")
    copy, trials = try_precisions(package, dataset, tmp_path / "copy", ["int8"], images=4, tolerance=1)
    allow(copy, dataset, [trial for trial in trials if trial.execution.backend == kept])
    assert {path.name for path in (tmp_path / "copy").glob("model.int8.*")} == files
    assert files <= read_folder(tmp_path / "copy").manifest.files.keys()


@pytest.mark.skipif(not nncf_is_installed(), reason="NNCF is not installed: services/trainer[precision]")
def test_an_activation_is_one_node_that_openvino_can_fuse(tmp_path: Path) -> None:
    """Quantised in its parts, each SiLU was a pass of its own over memory, and rounded three times."""
    dataset = PreparedDataset.open(write_squares(tmp_path / "squares", (SCENES * 100)[:100]))
    package = build_package(tmp_path / "package")
    package.model_path.write_bytes(looks_twice(package.manifest.input.name, package.manifest.input.width))
    quantize_for_openvino(package, tmp_path / "int8.xml", calibration_images(dataset, 4))
    core = require_openvino().Core()
    graph = core.compile_model(core.read_model(tmp_path / "int8.xml"), "CPU").get_runtime_model()
    nodes = [{name: str(value.astype(str)) for name, value in node.get_rt_info().items()} for node in graph.get_ops()]
    for name in ("first", "second"):
        (convolution,) = [
            node for node in nodes if f"{name}/conv/WithoutBiases" in node["originalLayersNames"].split(",")
        ]
        assert convolution["primitiveType"].endswith("_I8")
        assert name in convolution["originalLayersNames"].split(",")  # Its SiLU.
