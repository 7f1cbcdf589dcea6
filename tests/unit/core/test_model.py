from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest

from fakes.graphs import Layout
from fakes.packages import (
    CLASSES,
    DETECTORS,
    HEADS,
    SURE,
    build_package,
    damage,
    encode,
    filled,
    picture,
    square_box,
)
from handful_core.package import Package, write_package
from handful_core.package.archive import describe_files, read_folder
from handful_core.package.errors import GoldenError, GraphError
from handful_core.runtime import cpus
from handful_core.runtime.cpus import available_cpus
from handful_core.runtime.model import VisionModel, load_model
from handful_core.vision.prediction import to_dict

SQUARES = {(2, 3): "5", (3, 3): "5", (0, 0): "unknown", (7, 7): "1"}


def repacked(package: Package, **fields: object) -> Package:
    """The package with its files described anew and manifest fields changed."""
    return write_package(
        package.root, package.manifest.model_copy(update={"files": describe_files(package.root), **fields})
    )


@pytest.mark.parametrize("head", DETECTORS)
def test_every_detection_head_finds_the_squares(tmp_path: Path, head: Layout) -> None:
    answer = load_model(build_package(tmp_path / "p", head)).predict(picture(SQUARES))
    found = {
        (CLASSES[c], tuple(b))
        for c, b in zip(answer.detections.classes.tolist(), answer.detections.boxes.tolist(), strict=True)
    }
    assert found == {(name, square_box(*cell)) for cell, name in SQUARES.items()}
    assert np.allclose(answer.detections.scores, SURE, atol=1e-5)
    assert answer.count == 5 + 5 + 1
    assert answer.probabilities is None
    assert set(answer.timings) == {"preprocess", "inference", "postprocess"}


@pytest.mark.parametrize("head", ["probabilities", "logits"])
def test_both_classification_heads_give_probabilities(tmp_path: Path, head: Layout) -> None:
    answer = load_model(build_package(tmp_path / "p", head)).predict(filled("3"))
    assert answer.probabilities is not None
    assert answer.probabilities.argmax() == 3
    assert answer.probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert answer.count is None
    assert len(answer.detections) == 0


def test_boxes_are_in_pixels_of_the_image(tmp_path: Path) -> None:
    """A picture of twice the size, one cell wider: the letterbox is undone."""
    model = load_model(build_package(tmp_path / "p"))
    big = np.kron(picture({(2, 3): "5"}), np.ones((2, 2, 1), np.uint8))
    answer = model.predict(big)
    assert np.allclose(answer.detections.boxes, [np.float32(square_box(2, 3)) * 2], atol=0.01)


def test_the_request_sets_the_thresholds(tmp_path: Path) -> None:
    model = load_model(build_package(tmp_path / "p"))
    pixels = picture({(2, 3): "5"})
    assert len(model.predict(pixels, confidence=SURE + 0.001).detections) == 0
    assert len(model.predict(pixels, confidence=0.5, iou=0.9).detections) == 2, "the larger twin is its own object now"
    assert len(model.predict(pixels, confidence=0.0, iou=1.0).detections) > 2


class TwoOnOne:
    """Runs no graph: a 5 and, less surely, a 4 at one place."""

    backend = "none"

    def run(self, tensor: np.ndarray) -> np.ndarray:
        boxes = [[30.0, 30.0], [30.0, 30.0], [20.0, 20.0], [20.0, 20.0]]
        return np.float32([boxes + [[0.75 * (c == 4), 0.875 * (c == 5)] for c in range(len(CLASSES))]])


@pytest.mark.parametrize(("class_agnostic", "count"), [(False, 9), (True, 5)])
def test_the_package_says_whether_an_object_can_have_two_classes(
    tmp_path: Path, class_agnostic: bool, count: int
) -> None:
    package = build_package(tmp_path / "p", thresholds={"class_agnostic": class_agnostic})
    assert VisionModel(package, TwoOnOne()).predict(picture({})).count == count


def test_a_model_whose_classes_count_nothing_has_no_count(tmp_path: Path) -> None:
    answer = load_model(build_package(tmp_path / "p", counts={})).predict(picture({(1, 1): "5"}))
    assert answer.count is None


def test_many_threads_get_the_answers_of_one(tmp_path: Path) -> None:
    model = load_model(build_package(tmp_path / "p"), threads=2)
    pictures = [picture({(i % 8, i // 8 % 8): CLASSES[i % 7]}) for i in range(64)]
    alone = [model.predict(p) for p in pictures]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(model.predict, pictures))
    for one, other in zip(alone, together, strict=True):
        assert one.count == other.count
        assert (one.detections.boxes == other.detections.boxes).all()
        assert (one.detections.scores == other.detections.scores).all()


@pytest.mark.parametrize("head", HEADS)
def test_the_golden_image_guards_every_head(tmp_path: Path, head: Layout) -> None:
    """Weights that were trained further answer the golden image differently."""
    good = build_package(tmp_path / "good", head)
    other = build_package(tmp_path / "other", head, sharpness=4.0)
    (good.root / "model.onnx").write_bytes((other.root / "model.onnx").read_bytes())
    with pytest.raises(GoldenError, match="does not give the expected answer on its golden image"):
        load_model(repacked(good))


def test_a_golden_image_that_is_none_is_refused(tmp_path: Path) -> None:
    package = build_package(tmp_path / "p")
    (package.root / "golden.png").write_bytes(b"nothing")
    with pytest.raises(GoldenError, match="cannot be read"):
        load_model(repacked(package))


def test_a_model_without_a_golden_image_runs_once(tmp_path: Path) -> None:
    runs = []

    class Counting:
        backend = "counting"

        def __init__(self, package: Package, threads: int) -> None:
            assert threads == 3

        def run(self, tensor: np.ndarray) -> np.ndarray:
            runs.append(tensor.shape)
            return np.zeros((1, 11, 2), np.float32)

    load_model(build_package(tmp_path / "p", golden=False), threads=3, session_factory=Counting)
    assert runs == [(1, 3, 64, 64)]


@pytest.mark.parametrize("kind", ["graph"])
def test_a_graph_that_disagrees_with_its_manifest_is_refused(tmp_path: Path, kind: str) -> None:
    package = build_package(tmp_path / "p")
    damage(package.root, kind)  # type: ignore[arg-type]
    with pytest.raises(GraphError, match=r"output 'output0' has shape \[1, 11, 128\], the manifest asks for \[1, 12"):
        load_model(read_folder(package.root))


@pytest.mark.parametrize(
    ("part", "field", "value", "words"),
    [
        ("input", "name", "pixels", "no input 'pixels', it has images"),
        ("input", "width", 32, r"input 'images' has shape \[1, 3, 64, 64\]"),
        ("output", "name", "boxes", "no output 'boxes', it has output0"),
    ],
)
def test_names_and_sizes_are_checked(tmp_path: Path, part: str, field: str, value: object, words: str) -> None:
    package = build_package(tmp_path / "p")
    manifest = json.loads((package.root / "manifest.json").read_text())
    manifest[part][field] = value
    (package.root / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(GraphError, match=words):
        load_model(read_folder(package.root))


@pytest.mark.parametrize("content", [b"", b"not a graph", b"\x08\x09"])
def test_a_file_that_is_no_graph_is_refused(tmp_path: Path, content: bytes) -> None:
    package = build_package(tmp_path / "p")
    (package.root / "model.onnx").write_bytes(content)
    with pytest.raises(GraphError, match=r"model\.onnx cannot be loaded by ONNX Runtime"):
        load_model(repacked(package))


def reshaped_at_run_time(package: Package, shape: tuple[int, ...]) -> Package:
    """Give the graph's output a shape that ONNX Runtime cannot know before it runs."""
    model = onnx.load(package.model_path)
    graph = model.graph
    graph.node[-1].output[0] = "before"
    graph.initializer.append(onnx.numpy_helper.from_array(np.float32(0), "nothing"))
    graph.initializer.append(onnx.numpy_helper.from_array(np.int64(shape), "wanted"))
    node = onnx.helper.make_node
    graph.node.extend(
        [
            node("ReduceSum", ["images"], ["sum"], keepdims=0),
            node("Mul", ["sum", "nothing"], ["zero"]),
            node("Cast", ["zero"], ["whole_zero"], to=onnx.TensorProto.INT64),
            node("Add", ["wanted", "whole_zero"], ["shape"]),
            node("Reshape", ["before", "shape"], ["output0"]),
        ]
    )
    for dimension, name in zip(graph.output[0].type.tensor_type.shape.dim, "abc", strict=True):
        dimension.dim_param = name
    onnx.save(model, package.model_path)
    return repacked(package)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((1, 22, 64), r"output 'output0' has shape \[1, 22, 64\], the manifest asks for \[1, 11, None\]"),
        ((1, 11, 9999), "ONNX Runtime cannot run the graph"),
    ],
)
@pytest.mark.parametrize("golden", [True, False])
def test_a_graph_with_free_sizes_is_caught_when_it_runs(
    tmp_path: Path, shape: tuple[int, ...], words: str, golden: bool
) -> None:
    package = build_package(tmp_path / "p", golden=golden)
    assert load_model(reshaped_at_run_time(package, (1, 11, 128))).predict(picture({(1, 1): "5"})).count == 5
    other = build_package(tmp_path / "q", golden=golden)
    with pytest.raises(GraphError, match=words):
        load_model(reshaped_at_run_time(other, shape))


@pytest.mark.parametrize("head", ["nms_free", "nms_in_graph"])
def test_a_graph_that_knows_more_classes_than_its_manifest_is_caught(tmp_path: Path, head: Layout) -> None:
    package = build_package(tmp_path / "p", head, golden=False)
    model = load_model(repacked(package, classes=CLASSES[:3], counts={}))
    with pytest.raises(GraphError, match="a class that its manifest does not name"):
        model.predict(picture({(1, 1): "5"}))


def test_an_answer_is_described_in_the_words_of_the_api(tmp_path: Path) -> None:
    detector = load_model(build_package(tmp_path / "d"))
    described = to_dict(detector.predict(picture({(2, 3): "5"})), detector.manifest)
    assert described == {
        "task": "detect",
        "count": 5,
        "detections": [{"class": 5, "name": "5", "confidence": 0.9526, "box": [16.0, 24.0, 24.0, 32.0]}],
    }
    classifier = load_model(build_package(tmp_path / "c", "probabilities"))
    described = to_dict(classifier.predict(filled("3")), classifier.manifest)
    assert (described["task"], described["count"], described["detections"]) == ("classify", None, [])
    probabilities = [item["probability"] for item in described["probabilities"]]
    assert described["probabilities"][0]["name"] == "3"
    assert probabilities == sorted(probabilities, reverse=True)
    json.dumps(described)


def test_the_golden_image_is_a_file_like_any_other(tmp_path: Path) -> None:
    package = build_package(tmp_path / "p")
    assert (package.root / "golden.png").read_bytes() == encode(picture({(1, 1): "2", (5, 4): "5"}))


def test_a_containers_quota_limits_the_processors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr(cpus, "_CGROUP_V2", quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    for text, expected in (("max 100000", 8), ("150000 100000", 2), ("50000 100000", 1), ("1600000 100000", 8)):
        quota.write_text(text)
        assert available_cpus() == expected


def test_an_old_cgroup_limits_the_processors_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpus, "_CGROUP_V2", tmp_path / "none")
    monkeypatch.setattr(cpus, "_CGROUP_V1", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert available_cpus() == 8, "no cgroup at all"
    (tmp_path / "cpu.cfs_period_us").write_text("100000\n")
    for text, expected in (("-1\n", 8), ("300000\n", 3)):
        (tmp_path / "cpu.cfs_quota_us").write_text(text)
        assert available_cpus() == expected
