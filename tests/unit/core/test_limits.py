"""A classifier that knows its limits: prediction sets, images unlike the training images, maps of classes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fakes.graphs import COLOURS, SIZE, Layout
from fakes.packages import CLASSES, build_package, filled, picture
from handful_core.package import ExtraOutput, Manifest, Package, write_package
from handful_core.package.archive import describe_files
from handful_core.package.errors import DamagedPackageError, GraphError
from handful_core.runtime.model import VisionModel, load_model
from handful_core.runtime.onnx import OnnxSession
from handful_core.vision.classification import in_set, softmax
from handful_core.vision.prediction import to_dict


@pytest.fixture
def model(tmp_path: Path) -> VisionModel:
    return load_model(build_package(tmp_path / "p", "logits", limits=True))


def halves(left: str, right: str) -> np.ndarray:
    """A picture in the colours of two classes, side by side."""
    pixels = filled(left)
    pixels[:, SIZE // 2 :] = filled(right)[:, SIZE // 2 :]
    return pixels


def test_a_clear_image_is_certain_and_like_the_training_images(model: VisionModel) -> None:
    answer = model.predict(filled("3"))
    assert answer.prediction_set == (3,)
    assert answer.uncertain is False
    assert answer.out_of_distribution is False
    assert answer.distance == pytest.approx(0, abs=1e-3)
    assert answer.explanation is None, "it was not asked for"


def test_an_image_of_two_classes_may_show_either(model: VisionModel) -> None:
    """Red and blue make purple, dark: the third class is nearest, the others may be."""
    answer = model.predict(halves("0", "2"))
    assert answer.probabilities is not None
    likely = np.flatnonzero(answer.probabilities >= 0.2)
    assert answer.prediction_set is not None
    assert set(answer.prediction_set) == set(likely.tolist())
    assert len(answer.prediction_set) > 1
    assert answer.prediction_set[0] == answer.probabilities.argmax()


def test_the_request_may_ask_for_more_certainty(model: VisionModel) -> None:
    answer = model.predict(filled("3"))
    assert answer.top is not None
    assert model.predict(filled("3"), confidence=answer.top[1] + 0.01).uncertain is True


def test_a_colour_that_no_training_image_had_is_out_of_distribution(model: VisionModel) -> None:
    """Orange has more red than green."""
    answer = model.predict(np.full((SIZE, SIZE, 3), (0, 110, 255), np.uint8))
    red, green = np.array([1, 110 / 255]) / np.hypot(1, 110 / 255)
    assert answer.distance == pytest.approx((red - green) / np.sqrt(2), abs=1e-3)
    assert answer.out_of_distribution is True


def test_the_map_shows_where_the_class_is(model: VisionModel) -> None:
    answer = model.predict(halves("0", "2"), explain=True)
    shown = answer.explanation
    assert shown is not None
    assert answer.top is not None
    assert shown.class_id == answer.top[0]
    side = {0: slice(0, 4), 2: slice(4, 8)}.get(shown.class_id)
    assert side is not None, "one of the two colours that are there"
    assert shown.values[:, side].min() > shown.values.mean()
    assert shown.values.max() == pytest.approx(1)
    assert shown.values.min() >= 0
    assert shown.box == (0, 0, SIZE, SIZE)


def test_the_maps_of_an_exact_head_add_up_to_its_logits(model: VisionModel) -> None:
    extra = model.manifest.output.class_maps
    assert extra is not None
    tensor = np.random.default_rng(0).random((1, 3, SIZE, SIZE), np.float32)
    logits, maps = OnnxSession(model.package, 1).run_outputs(tensor, [extra])
    rest = logits[0] - maps[0].mean(axis=(1, 2))
    black = OnnxSession(model.package, 1).run(np.zeros_like(tensor))
    assert np.allclose(rest, black[0], atol=1e-4), "what is left is the bias"


@pytest.mark.parametrize(
    ("resize", "box"), [("stretch", (0, 0, 128, 64)), ("letterbox", (0, -32, 128, 96)), ("crop", (32, 0, 96, 64))]
)
def test_the_map_covers_what_the_model_saw(tmp_path: Path, resize: str, box: tuple[float, ...]) -> None:
    fields: dict[str, Any] = {"input": {"width": SIZE, "height": SIZE, "resize": resize}, "golden": False}
    model = load_model(build_package(tmp_path / "p", "logits", limits=True, **fields))
    shown = model.predict(np.tile(filled("0"), (1, 2, 1)), explain=True).explanation
    assert shown is not None
    assert shown.box == pytest.approx(box, abs=1e-3)
    assert shown.scaled(2, 3).box == pytest.approx([edge * (2, 3)[i % 2] for i, edge in enumerate(box)], abs=1e-2)


def test_the_json_of_a_classifier(model: VisionModel) -> None:
    content = to_dict(model.predict(filled("3"), explain=True), model.manifest, top=2)
    assert [each["name"] for each in content["top"]] == [each["name"] for each in content["probabilities"][:2]]
    assert content["top"][0]["name"] == "3"
    assert len(content["probabilities"]) == len(CLASSES)
    assert content["uncertain"] is False
    assert content["prediction_set"] == ["3"]
    assert content["out_of_distribution"] is False
    assert content["distance"] <= content["distance_limit"] == 0.05
    assert content["explanation"]["name"] == "3"
    assert len(content["explanation"]["values"]) == 8
    assert {len(row) for row in content["explanation"]["values"]} == {8}


def test_a_package_that_knows_no_limits_says_so(tmp_path: Path) -> None:
    model = load_model(build_package(tmp_path / "p", "logits"))
    content = to_dict(model.predict(filled("3"), explain=True), model.manifest)
    assert content["uncertain"] is False, "its threshold is all that it knows"
    for key in ("prediction_set", "out_of_distribution", "distance", "distance_limit"):
        assert content[key] is None
    assert "explanation" not in content


def test_a_detector_has_none_of_it(tmp_path: Path) -> None:
    model = load_model(build_package(tmp_path / "p"))
    content = to_dict(model.predict(filled("3"), explain=True), model.manifest)
    assert not {"top", "uncertain", "prediction_set", "out_of_distribution", "explanation"} & set(content)


def test_only_what_is_needed_is_read_of_a_run(tmp_path: Path) -> None:
    package = build_package(tmp_path / "p", "logits", limits=True)
    asked: list[list[str]] = []

    class Noting(OnnxSession):
        def run_outputs(self, tensor: np.ndarray, extra: Any) -> list[np.ndarray]:
            asked.append([each.name for each in extra])
            return super().run_outputs(tensor, extra)

    model = VisionModel(package, Noting(package, 1))
    model.predict(filled("0"))
    model.predict(filled("0"), explain=True)
    assert asked == [["embedding"], ["embedding", "class_maps"]]


@pytest.mark.parametrize("head", ["raw", "nms_free", "nms_in_graph"])
def test_a_detector_knows_what_is_unlike_its_training_images(tmp_path: Path, head: Layout) -> None:
    detector = load_model(build_package(tmp_path / "p", head, limits=True))
    usual, unusual = detector.predict(picture({(2, 3): "3"})), detector.predict(picture({(2, 3): "3", (5, 1): "0"}))
    assert usual.distance == pytest.approx(0, abs=1e-3)
    assert [usual.out_of_distribution, unusual.out_of_distribution] == [False, True]
    assert [len(usual.detections), len(unusual.detections)] == [1, 2]
    shown = to_dict(unusual, detector.manifest)
    assert (shown["out_of_distribution"], shown["distance_limit"]) == (True, 0.05)
    assert "uncertain" not in shown, "that is a classifier's"


def test_a_detector_that_does_not_know_says_nothing_of_it(tmp_path: Path) -> None:
    detector = load_model(build_package(tmp_path / "p", "raw"))
    assert "out_of_distribution" not in to_dict(detector.predict(picture({(2, 3): "3"})), detector.manifest)


@pytest.mark.parametrize("part", ["calibration", "prediction_sets"])
def test_what_a_classifier_alone_has_is_refused_of_a_detector(tmp_path: Path, part: str) -> None:
    content = build_package(tmp_path / "p", "raw", limits=True).manifest.model_dump(mode="json")
    content[part] = build_package(tmp_path / "q", "logits", limits=True).manifest.model_dump(mode="json")[part]
    with pytest.raises(ValidationError, match="calibration, prediction sets and class maps are no detect model's"):
        Manifest.model_validate(content)


def test_outputs_can_be_had_as_they_come(model: VisionModel, tmp_path: Path) -> None:
    logits, embedding = model.raw(filled("3"))
    assert logits.argmax() == 3
    assert logits.shape == (7,)
    assert embedding == pytest.approx(COLOURS[3], abs=1e-5)
    assert load_model(build_package(tmp_path / "other", "logits")).raw(filled("3"))[1] is None


def _pickled() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([object()]), allow_pickle=True)
    return file.getvalue()


def _saved(rows: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, rows)
    return file.getvalue()


def _zipped() -> bytes:
    file = io.BytesIO()
    np.savez(file, rows=np.eye(3))
    return file.getvalue()


WHOLE = _saved(np.eye(3, dtype=np.float16)[[2, 0, 1]])
HOSTILE = {
    "empty": b"",
    "text": b"no array",
    "pickled": _pickled(),
    "zipped": _zipped(),
    "cut": WHOLE[:-2],
    "far too large": WHOLE.replace(b"(3, 3), }", b"(900000000000, 3), }"),
    "a long header": b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + b" " * 5000,
    "other width": _saved(np.ones((5, 4), np.float16)),
    "whole numbers": _saved(np.ones((5, 3), np.int64)),
    "one dimension": _saved(np.ones(3, np.float16)),
    "no rows": _saved(np.ones((0, 3), np.float16)),
    "no number": _saved(np.full((5, 3), np.nan, np.float16)),
    "no number in the mean": _saved(np.float16([[np.inf, 0, 0], [1, 0, 0]])),
    "directions that are not at right angles": _saved(np.float16([[0, 0, 0], [1, 0, 0], [1, 0, 0]])),
    "directions of another length": _saved(np.float16([[0, 0, 0], [3, 0, 0]])),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_reference_that_is_none_is_refused(tmp_path: Path, kind: str) -> None:
    package = build_package(tmp_path / "p", "logits", limits=True)
    (package.root / "reference.npy").write_bytes(HOSTILE[kind])
    damaged = _described(package)
    with pytest.raises(DamagedPackageError, match=r"reference.npy .* does not hold a mean and directions of 3"):
        load_model(damaged)


def test_a_reference_that_is_one_is_read(tmp_path: Path) -> None:
    package = build_package(tmp_path / "p", "logits", limits=True)
    (package.root / "reference.npy").write_bytes(WHOLE)
    model = load_model(_described(package))
    assert model.predict(filled("2")).distance == pytest.approx(0, abs=1e-3)
    assert model.predict(filled("0")).distance == pytest.approx(1, abs=1e-3), "blue is the mean"


def _described(package: Package) -> Package:
    return write_package(package.root, package.manifest.model_copy(update={"files": describe_files(package.root)}))


def test_a_graph_without_the_outputs_is_refused(tmp_path: Path) -> None:
    """The graph of one package, the manifest of another."""
    package = build_package(tmp_path / "p", "logits", limits=True)
    plain = build_package(tmp_path / "plain", "logits")
    (package.root / "model.onnx").write_bytes((plain.root / "model.onnx").read_bytes())
    with pytest.raises(GraphError, match="the graph has no output 'embedding'"):
        load_model(_described(package))


def test_outputs_of_another_shape_are_refused(tmp_path: Path) -> None:
    package = build_package(tmp_path / "p", "logits", limits=True)
    output = package.manifest.output
    wrong = output.model_copy(update={"embedding": ExtraOutput(name="embedding", shape=(1, 4))})
    with pytest.raises(GraphError, match=r"output 'embedding' has shape \[1, 3\], the manifest asks for \[1, 4\]"):
        OnnxSession(Package(package.root, package.manifest.model_copy(update={"output": wrong})), 1)


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        (("output", "class_maps", "shape"), [1, 2, 8, 8], r"class_maps.shape is not \(1, 7, rows, columns\)"),
        (("output", "embedding", "shape"), [1, 3, 8], r"embedding.shape is not \(1, d\)"),
        (("output", "embedding"), None, "out_of_distribution needs output.embedding"),
        (("files", "reference.npy", "size"), 300_001, "reference.npy is larger than 300000 bytes"),
        (("out_of_distribution", "file"), "other.npy", "files does not list other.npy"),
        (("out_of_distribution", "file"), "../reference.npy", "not a plain relative path"),
        (("calibration", "temperature"), 0, "greater than 0"),
        (("prediction_sets", "probability"), 1.5, "less than or equal to 1"),
    ],
)
def test_limits_that_contradict_each_other_are_refused(
    tmp_path: Path, where: tuple[str, ...], value: Any, message: str
) -> None:
    content: Any = build_package(tmp_path / "p", "logits", limits=True).manifest.model_dump(mode="json")
    part = content
    for key in where[:-1]:
        part = part[key]
    part[where[-1]] = value
    with pytest.raises(ValidationError, match=message):
        Manifest.model_validate(content)


def test_a_detector_cannot_claim_them(tmp_path: Path) -> None:
    content = build_package(tmp_path / "p").manifest.model_dump(mode="json")
    with pytest.raises(ValidationError, match="are no detect model's"):
        Manifest.model_validate(content | {"calibration": {"temperature": 2, "images": 10}})


@given(st.lists(st.floats(0.001, 1), min_size=2, max_size=9), st.floats(0, 1))
def test_a_set_is_never_empty_and_holds_what_is_likely(values: list[float], least: float) -> None:
    probabilities = np.float32(values) / np.float32(sum(values))
    members = in_set(probabilities, least)
    assert members[probabilities.argmax()]
    assert (members | (probabilities < least)).all(), "all that are likely"
    assert members.sum() - 1 <= (probabilities >= least).sum(), "and of the others the first alone"


def test_probabilities_of_many_images_at_once() -> None:
    logits = np.float32([[1000, 0, -1000], [0, 0, 0]])
    assert softmax(logits) == pytest.approx(np.float32([[1, 0, 0], [1 / 3] * 3]))
    assert in_set(softmax(logits), 0.3).tolist() == [[True, False, False], [True, True, True]]
