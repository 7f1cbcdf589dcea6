"""Precisions below FP32: what a manifest may say of them, and how a package is run in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes.packages import INT8, allowing, build_package, picture, proved
from handful_core.package import Manifest
from handful_core.package.archive import read_folder
from handful_core.package.errors import GoldenError, ManifestError
from handful_core.runtime import cpus
from handful_core.runtime.execution import Execution, executions, session_maker
from handful_core.runtime.model import load_model
from handful_core.runtime.onnx import OnnxSession
from handful_core.runtime.openvino import computes_bf16, is_installed
from handful_core.vision.preprocess import Floats

needs_openvino = pytest.mark.skipif(not is_installed(), reason="OpenVINO is not installed: pip install openvino")
LOSS = proved()["loss"]


class Scaled(OnnxSession):
    """Scores that are a little lower, as a lower precision may give them: 0.933 of the golden image's 0.953."""

    def run(self, tensor: Floats) -> Floats:
        return super().run(tensor) * np.float32([1] * 4 + [0.98] * 7)[None, :, None]


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([proved(loss=LOSS | {"interval": (0.001, 0.006)})], "may lose more than its tolerance is not allowed"),
        ([proved(loss=LOSS | {"interval": (0.004, 0.003)})], "ends before it begins"),
        ([proved(loss=LOSS | {"images": 0})], "greater than or equal to 1"),
        ([proved(loss=LOSS | {"value": float("nan")})], "finite"),
        ([proved(golden={"score_gap": 0.5, "iou": 0.95})], "less than or equal to 0.1"),
        ([proved(golden={"score_gap": 0.05, "iou": 0.2})], "greater than or equal to 0.9"),
        ([proved("int8", model=None)], "int8 needs a graph of its own"),
        ([proved("bf16", model=INT8)], "bf16 computes the package's own graph"),
        ([proved("int8", model="model.onnx")], "names the package's own graph"),
        ([proved("int8", model="nowhere.onnx")], "files does not list nowhere.onnx"),
        ([proved("int8", model="../outside.onnx")], "is not a plain relative path"),
        ([proved("int8", model="model.int8.xml")], r"files does not list model\.int8\.xml, model\.int8\.bin"),
        ([proved("int8", "onnxruntime", model="model.int8.xml")], "onnxruntime does not run model.int8.xml"),
        ([proved(), proved()], "the same backend and precision twice"),
        ([{key: value for key, value in proved().items() if key != "loss"}], "loss"),
    ],
)
def test_what_is_not_proved_is_refused(tmp_path: Path, entries: list[dict[str, Any]], words: str) -> None:
    root = build_package(tmp_path / "p").root
    manifest = json.loads((root / "manifest.json").read_text())
    (root / "manifest.json").write_text(json.dumps(manifest | {"precisions": entries}))
    with pytest.raises(ManifestError, match=words):
        read_folder(root)


def test_a_package_of_another_precision_or_without_a_golden_image_allows_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="precisions are of FP32 packages, and this one is int8"):
        build_package(tmp_path / "int8", precision="int8", precisions=[proved()])
    with pytest.raises(ValueError, match="precisions need a golden image"):
        build_package(tmp_path / "none", golden=False, precisions=[proved()])


def test_a_package_is_run_as_it_allows_its_own_precision_first(tmp_path: Path) -> None:
    plain = build_package(tmp_path / "plain").manifest
    package = build_package(tmp_path / "p")
    manifest = allowing(package, proved("int8"), proved("int8", "onnxruntime"), proved()).manifest
    both: list[Any] = ["onnxruntime", "openvino"]
    assert [str(each) for each in executions(plain, both)] == ["onnxruntime", "openvino"]
    assert [str(each) for each in executions(manifest, both)] == [
        "onnxruntime", "openvino", "openvino bf16", "openvino int8", "onnxruntime int8"
    ]  # fmt: skip
    assert [str(each) for each in executions(manifest, ["onnxruntime"])] == ["onnxruntime", "onnxruntime int8"]
    assert [str(each) for each in executions(manifest, both, reduced=False)] == ["onnxruntime", "openvino"]


def test_what_a_newer_handful_proves_is_left_out(tmp_path: Path) -> None:
    newer = [proved("fp8"), proved(backend="tvm"), proved("int8", "onnxruntime")]
    package = allowing(build_package(tmp_path / "p"), *newer)
    assert [str(each) for each in executions(package.manifest, ["onnxruntime"])] == ["onnxruntime", "onnxruntime int8"]


def test_a_manifest_without_precisions_is_as_it_was(tmp_path: Path) -> None:
    fields = build_package(tmp_path / "p").manifest.model_dump(mode="json")
    del fields["precisions"]
    assert Manifest.model_validate(fields).precisions == ()


def test_the_golden_answer_is_held_to_the_tolerance_that_is_recorded(tmp_path: Path) -> None:
    package = build_package(tmp_path / "p")
    with pytest.raises(GoldenError, match="does not give the expected answer on its golden image \\("):
        load_model(package, 1, Scaled)  # In its own precision 0.01 is as much as ever.
    bf16 = Execution("openvino", "bf16")
    wide = allowing(package, proved(golden={"score_gap": 0.05, "iou": 0.95}))
    model = load_model(wide, 1, Scaled, bf16)
    assert (model.precision, model.execution) == ("bf16", "openvino bf16")
    narrow = allowing(package, proved(golden={"score_gap": 0.015, "iou": 0.95}))
    with pytest.raises(GoldenError, match="golden image in bf16"):
        load_model(narrow, 1, Scaled, bf16)
    assert load_model(wide, 1).precision == "fp32"


def test_an_int8_graph_is_the_one_that_is_run(tmp_path: Path) -> None:
    package, other = build_package(tmp_path / "p"), build_package(tmp_path / "other", sharpness=5.9)
    package = allowing(package, proved("int8", "onnxruntime"), int8=other.model_path.read_bytes())
    execution = Execution("onnxruntime", "int8")
    model = load_model(package, 1, session_maker(execution), execution)
    squares = picture({(2, 3): "5"})
    expected = load_model(other, 1).predict(squares).detections.scores
    assert model.predict(squares).detections.scores == pytest.approx(expected)
    assert load_model(package, 1).predict(squares).detections.scores[0] > expected[0]


@needs_openvino
def test_openvino_computes_in_bf16_or_says_that_it_does_not(tmp_path: Path) -> None:
    package = allowing(build_package(tmp_path / "p"), proved())
    bf16 = Execution("openvino", "bf16")
    if not computes_bf16():
        pytest.skip("this processor does not compute in BF16")
    tensor = np.random.default_rng(0).random((1, 3, 64, 64), np.float32)
    low, full = (session_maker(each)(package, 1).run(tensor) for each in (bf16, Execution("openvino")))
    assert not np.array_equal(low, full)
    assert np.allclose(low, full, rtol=0.02, atol=0.5)


def test_processors_of_one_name_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text("model name\t: Intel(R) Xeon(R) Processor\nflags\t\t: fpu amx_bf16 avx2 sse avx512_bf16\n")
    monkeypatch.setattr(cpus, "_CPUINFO", path)
    assert cpus.instruction_sets() == "amx_bf16 avx2 avx512_bf16"
    path.write_text("Features\t: fp asimd bf16 asimddp\n")
    assert cpus.instruction_sets() == "asimddp bf16"
    path.unlink()
    assert cpus.instruction_sets() == ""
