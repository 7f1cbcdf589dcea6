from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fakes.packages import CLASSES, build_package
from handful_core.package import Golden, GoldenDetection, Manifest, Output, OutputLayout
from handful_core.package.manifest import FileEntry
from handful_core.package.schema import SCHEMA_FILE, schema_text


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return build_package(tmp_path / "package").manifest


def changed(manifest: Manifest, **fields: object) -> Manifest:
    return Manifest.model_validate(manifest.model_dump() | fields)


def test_the_committed_schema_is_the_one_of_the_code() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text(), "run python -m handful_core.package.schema"


def test_a_manifest_survives_being_written_and_read(manifest: Manifest) -> None:
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest


def test_fields_of_a_later_minor_version_are_ignored(manifest: Manifest) -> None:
    data = json.loads(manifest.model_dump_json()) | {"schema_version": "1.7", "sharpness": 3}
    data["input"]["tiles"] = 4
    assert Manifest.model_validate(data).classes == CLASSES


def test_a_manifest_of_before_a_field_is_read_as_it_was_meant(manifest: Manifest) -> None:
    data = json.loads(manifest.model_dump_json()) | {"schema_version": "1.0"}
    del data["thresholds"]["class_agnostic"]
    assert Manifest.model_validate(data).thresholds.class_agnostic is False


def test_class_names_are_distinct(manifest: Manifest) -> None:
    with pytest.raises(ValidationError, match="distinct"):
        changed(manifest, classes=("0", "0"), counts={})


def test_counts_are_of_classes_that_exist(manifest: Manifest) -> None:
    with pytest.raises(ValidationError, match="counts name classes that do not exist: 9"):
        changed(manifest, counts={"9": 9})


@pytest.mark.parametrize(("task", "head"), [("classify", OutputLayout.RAW), ("detect", OutputLayout.PROBABILITIES)])
def test_task_and_head_fit(manifest: Manifest, task: str, head: OutputLayout) -> None:
    with pytest.raises(ValidationError, match="cannot have"):
        changed(manifest, task=task, output=Output(head=head, shape=()), golden=None)


@pytest.mark.parametrize(("field", "name"), [("model", "other.onnx"), ("weights", "weights.pt")])
def test_files_lists_what_the_manifest_names(manifest: Manifest, field: str, name: str) -> None:
    with pytest.raises(ValidationError, match=f"files does not list {name}"):
        changed(manifest, **{field: name})


def test_the_golden_image_is_listed(manifest: Manifest) -> None:
    with pytest.raises(ValidationError, match=r"files does not list gone\.png"):
        changed(manifest, golden=Golden(image="gone.png"))


def test_a_detector_has_no_golden_probabilities(manifest: Manifest) -> None:
    with pytest.raises(ValidationError, match="7 probabilities for a model of task detect"):
        changed(manifest, golden=Golden(image="golden.png", probabilities=(0.1,) * 7))


@pytest.mark.parametrize("probabilities", [None, (0.5, 0.5)])
def test_a_classifier_has_one_golden_probability_per_class(
    tmp_path: Path, probabilities: tuple[float, ...] | None
) -> None:
    manifest = build_package(tmp_path / "classifier", "probabilities").manifest
    with pytest.raises(ValidationError, match="probabilities for a model of task classify"):
        changed(manifest, golden=Golden(image="golden.png", probabilities=probabilities))


def test_a_golden_detection_is_of_a_class_that_exists(manifest: Manifest) -> None:
    odd = GoldenDetection(class_id=7, confidence=0.9, box=(0, 0, 1, 1))
    with pytest.raises(ValidationError, match="golden names a class that does not exist"):
        changed(manifest, golden=Golden(image="golden.png", detections=(odd,)))


@pytest.mark.parametrize(
    ("head", "shape"),
    [
        ("raw", (1, 11, None)),
        ("nms_free", (1, None, 6)),
        ("nms_in_graph", (1, None, 6)),
        ("probabilities", (1, 7)),
        ("logits", (1, 7)),
    ],
)
def test_the_shape_that_head_and_classes_ask_for(tmp_path: Path, head: str, shape: tuple[int | None, ...]) -> None:
    assert build_package(tmp_path / head, head).manifest.expected_shape == shape  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["/etc/passwd", "../up", "a/../b", "a\\b", "", ".", "a/", "./a", "a//b"])
def test_file_names_stay_inside_the_package(manifest: Manifest, name: str) -> None:
    entry = FileEntry(sha256="0" * 64, size=0)
    with pytest.raises(ValidationError, match="not a plain relative path"):
        changed(manifest, files={**manifest.files, name: entry})


@given(st.text(max_size=20))
def test_no_accepted_file_name_leads_out_of_the_package(name: str) -> None:
    from pydantic import TypeAdapter

    from handful_core.package.manifest import FileName

    try:
        accepted = TypeAdapter(FileName).validate_python(name)
    except ValidationError:
        return
    root = Path("/packages/one")
    assert (root / accepted).is_relative_to(root)
    assert ".." not in (root / accepted).parts


@pytest.mark.parametrize("digest", ["", "0" * 63, "G" * 64, "A" * 64])
def test_a_hash_is_64_small_hexadecimal_digits(digest: str) -> None:
    with pytest.raises(ValidationError):
        FileEntry(sha256=digest, size=1)
