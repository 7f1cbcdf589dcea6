"""Features of images and answers, a package's profile, rows of a log."""

from __future__ import annotations

import gzip
import io
import json
import math
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from fakes.packages import CLASSES, COUNTS, build_package, encode, filled, picture
from handful_core.errors import DataError, PackageError
from handful_core.package import Package, ProfileSpec, write_package
from handful_core.package.archive import describe_files
from handful_core.package.errors import DamagedPackageError
from handful_core.profile import (
    Feature,
    LogRow,
    Profile,
    features_of_model,
    parse_row,
    profile_of,
    read_profile,
    read_rows,
)
from handful_core.profile.answer import answer_features
from handful_core.profile.appearance import appearance, jpeg_quality
from handful_core.profile.measurement import features_of
from handful_core.profile.projection import DIRECTIONS, Projection, fit_projection
from handful_core.runtime.model import load_model
from handful_core.vision.decode import decode_reduced
from handful_core.vision.detections import Detections
from handful_core.vision.prediction import Prediction


def photo(width: int = 480, height: int = 360, seed: int = 0) -> np.ndarray:
    """Smooth shapes, edges and a little noise: as a photo has them."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.integers(40, 216, (9, 12, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(40):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        cv2.circle(coarse, (x, y), int(rng.integers(3, width // 8)), rng.integers(0, 256, 3).tolist(), -1)
    noisy = coarse.astype(np.int16) + rng.integers(-6, 7, coarse.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def seen(pixels: np.ndarray, suffix: str = ".png") -> dict[str, Any]:
    data = encode(pixels, suffix)
    return appearance(data, decode_reduced(data))


def test_a_grey_picture_is_bright_by_half_and_flat() -> None:
    features = seen(np.full((100, 200, 3), 128, np.uint8))
    assert features == {
        "megapixels": 0.02,
        "aspect": 2.0,
        "brightness": pytest.approx(128 / 255, abs=1e-5),
        "contrast": 0,
        "sharpness": 0,
        "green_red": 0,
        "blue_yellow": 0,
        "saturation": 0,
        "jpeg_quality": None,
        "format": "PNG",
    }


def test_light_changes_brightness_and_contrast_but_not_sharpness() -> None:
    bright = seen(photo())
    dark = seen((photo() * 0.6).astype(np.uint8))
    assert dark["brightness"] == pytest.approx(0.6 * bright["brightness"], rel=0.02)
    assert dark["contrast"] == pytest.approx(0.6 * bright["contrast"], rel=0.02)
    assert dark["sharpness"] == pytest.approx(bright["sharpness"], rel=0.05)


def test_blur_takes_sharpness_and_leaves_brightness() -> None:
    sharp, blurred = seen(photo()), seen(cv2.GaussianBlur(photo(), (0, 0), 3))
    assert blurred["sharpness"] < 0.6 * sharp["sharpness"]
    assert blurred["brightness"] == pytest.approx(sharp["brightness"], abs=0.01)


def test_a_red_cast_moves_both_colours_the_right_way() -> None:
    grey = np.full((64, 64, 3), 120, np.uint8)
    red, blue = grey.copy(), grey.copy()
    red[..., 2] += 60
    blue[..., 0] += 60
    assert seen(red)["green_red"] > 10
    assert seen(blue)["blue_yellow"] < -10
    assert seen(red)["saturation"] == pytest.approx(
        math.hypot(seen(red)["green_red"], seen(red)["blue_yellow"]), abs=0.01
    )


@pytest.mark.parametrize("size", [(4000, 3000), (1920, 1080), (3000, 4000)])
def test_a_jpeg_decoded_at_a_part_of_its_size_looks_the_same(size: tuple[int, int]) -> None:
    data = encode(photo(*size), ".jpg")
    whole, reduced = decode_reduced(data), decode_reduced(data, enough=640)
    assert reduced.pixels.shape[0] < whole.pixels.shape[0]
    a, b = appearance(data, whole), appearance(data, reduced)
    assert b["megapixels"] == a["megapixels"] == round(size[0] * size[1] / 1e6, 4)
    for name, tolerance in (("brightness", 0.005), ("contrast", 0.005), ("green_red", 1), ("blue_yellow", 1)):
        assert b[name] == pytest.approx(a[name], abs=tolerance), name
    assert b["sharpness"] == pytest.approx(a["sharpness"], rel=0.1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (2, 7)])
def test_the_smallest_and_thinnest_images_have_features(shape: tuple[int, int]) -> None:
    features = seen(np.full((*shape, 3), 7, np.uint8))
    assert features["aspect"] == round(shape[1] / shape[0], 4)
    assert all(value is None or isinstance(value, str) or math.isfinite(value) for value in features.values())


@given(quality=st.integers(1, 100), subsampling=st.sampled_from([0, 1, 2]), colour=st.booleans())
@settings(max_examples=40)
def test_the_quality_that_libjpeg_wrote_at_is_found(quality: int, subsampling: int, colour: bool) -> None:
    image = Image.new("RGB" if colour else "L", (16, 16), 77)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, subsampling=subsampling)
    found = jpeg_quality(file.getvalue())
    table = next(iter(Image.open(io.BytesIO(file.getvalue())).quantization.values()))
    other = io.BytesIO()
    image.save(other, "JPEG", quality=found)
    again = next(iter(Image.open(other).quantization.values()))
    assert sum(again) == sum(table), "two qualities with one table are one"


@given(st.binary(max_size=400))
def test_no_bytes_upset_the_reading_of_tables(rest: bytes) -> None:
    assert jpeg_quality(rest) is None or rest.startswith(b"\xff\xd8")
    found = jpeg_quality(b"\xff\xd8\xff\xdb" + rest)
    assert found is None or 1 <= found <= 100


def test_tables_of_16_bits_and_after_others_are_read() -> None:
    ones = bytes([1] * 64)
    second = b"\x01" + ones  # Table 1 stands first.
    wide = b"\x10" + b"".join((200).to_bytes(2, "big") for _ in range(64))
    data = b"\xff\xd8\xff\xdb" + (2 + len(second + wide)).to_bytes(2, "big") + second + wide
    assert jpeg_quality(data) is not None
    assert jpeg_quality(b"\xff\xd8\xff\xdb" + (2 + len(second)).to_bytes(2, "big") + second) is None


def found(*boxes: tuple[float, float, float, float], scores: tuple[float, ...], classes: tuple[int, ...]) -> Prediction:
    return Prediction(
        Detections(np.array(boxes, np.float32), np.array(scores, np.float32), np.array(classes, np.int64))
    )


def test_features_of_detections(tmp_path: Path) -> None:
    manifest = build_package(tmp_path / "p").manifest
    prediction = found((0, 0, 50, 100), (100, 50, 200, 100), scores=(0.9, 0.5), classes=(5, 2))
    assert answer_features(prediction, manifest, 200, 100) == {
        "detections": 2,
        "first_class": "5",
        "score_largest": pytest.approx(0.9),
        "score_mean": pytest.approx(0.7),
        "score_smallest": pytest.approx(0.5),
        "box_area": pytest.approx(0.25),
        "box_area_largest": pytest.approx(0.25),
        "box_aspect": pytest.approx(1.0),  # One is half as wide as high, the other twice.
        "box_x": pytest.approx((0.125 + 0.75) / 2),
        "box_y": pytest.approx((0.5 + 0.75) / 2),
        "count": 7,
        **{f"detections.{name}": int(name in {"5", "2"}) for name in CLASSES},
    }


def test_an_image_without_detections_has_no_scores(tmp_path: Path) -> None:
    manifest = build_package(tmp_path / "p").manifest
    features = answer_features(Prediction(), manifest, 10, 10)
    assert (features["detections"], features["count"], features["first_class"]) == (0, 0, "")
    assert features["score_mean"] is None
    assert features["box_x"] is None


def test_features_of_a_classification(tmp_path: Path) -> None:
    manifest = build_package(tmp_path / "p", "logits", limits=True).manifest
    probabilities = np.array([0.1, 0.6, 0.3, 0, 0, 0, 0], np.float32)
    features = answer_features(
        Prediction(probabilities=probabilities, prediction_set=(1, 2), distance=0.25), manifest, 10, 10
    )
    entropy = -sum(p * math.log(p) for p in (0.1, 0.6, 0.3)) / math.log(7)
    assert features == {
        "first_class": "1",
        "probability": pytest.approx(0.6, abs=1e-5),
        "margin": pytest.approx(0.3, abs=1e-5),
        "entropy": pytest.approx(entropy, abs=1e-5),
        "set_size": 2,
        "distance": 0.25,
    }


@pytest.mark.parametrize(
    ("head", "limits", "projects"),
    [("raw", False, False), ("logits", False, False), ("logits", True, False), ("logits", True, True)],
)
def test_the_features_of_an_answer_are_those_that_the_model_names(
    tmp_path: Path, head: Any, limits: bool, projects: bool
) -> None:
    package = build_package(tmp_path / "p", head, limits=limits)
    package = with_projection(package) if projects else package
    model = load_model(package)
    for pixels in (picture({(1, 1): "3"}), picture({}), filled("2")):
        data = encode(pixels)
        image = decode_reduced(data)
        features = features_of(data, image, model.predict(image.pixels), package.manifest)
        expected = features_of_model(package.manifest)
        assert list(features) == [feature.name for feature in expected]
        for name, kind in expected:
            value = features[name]
            assert value is None or isinstance(value, {"category": str, "count": int}.get(kind, (int, float))), name
        json.dumps(features, allow_nan=False)


def test_a_model_of_many_classes_counts_none_of_them(tmp_path: Path) -> None:
    manifest = build_package(tmp_path / "p").manifest
    many = manifest.model_copy(update={"classes": tuple(f"c{i}" for i in range(21)), "counts": {}})
    names = {feature.name for feature in features_of_model(many)}
    assert not any(name.startswith("detections.") for name in names)
    assert "count" not in names
    assert names == {*appearance(encode(filled("1")), decode_reduced(encode(filled("1"))))} | {
        *answer_features(Prediction(), many, 1, 1)
    }


def with_projection(package: Package) -> Package:
    """The tiny classifier, with a projection of its three numbers to two."""
    rows = fit_projection(np.random.default_rng(0).random((9, 3)), 2)
    np.save(package.root / "projection.npy", rows.astype(np.float16))
    spec = ProfileSpec(images=0, projection="projection.npy", directions=2)
    (package.root / "profile.json").write_text("{}")
    update = {"profile": spec, "files": describe_files(package.root)}
    return write_package(package.root, package.manifest.model_copy(update=update))


def test_a_projection_keeps_what_embeddings_differ_in() -> None:
    rng = np.random.default_rng(1)
    plane = np.linalg.qr(rng.normal(size=(40, 3)))[0].T
    embeddings = np.float32(10 + rng.normal(size=(200, 3)) @ plane * [3.0])
    rows = fit_projection(embeddings)
    assert rows.shape == (1 + DIRECTIONS, 40)
    assert np.allclose(rows[1:] @ rows[1:].T, np.eye(DIRECTIONS), atol=5e-3)
    project = Projection(rows[0], rows[1:])
    inside, outside = project(embeddings[0]), project(rng.normal(size=40).astype(np.float32))
    assert inside.shape == (DIRECTIONS + 1,)
    assert inside[-1] < 0.02 < outside[-1]
    assert np.allclose(project(7 * embeddings[0]), inside, atol=1e-5), "the length of an embedding says nothing"


def test_a_projection_is_the_same_in_every_run_and_never_longer_than_its_images() -> None:
    embeddings = np.random.default_rng(2).random((5, 30)).astype(np.float32)
    assert np.array_equal(fit_projection(embeddings), fit_projection(embeddings.copy()))
    assert fit_projection(embeddings).shape == (5, 30)
    rows = fit_projection(embeddings)
    assert np.isfinite(Projection(rows[0], rows[1:])(np.zeros(30, np.float32))).all()


@pytest.mark.parametrize("rows", [np.ones((3, 3)), np.eye(3)[:2], np.zeros((3, 4)), np.full((3, 3), np.nan)])
def test_a_projection_of_another_kind_is_a_damaged_package(tmp_path: Path, rows: np.ndarray) -> None:
    package = with_projection(build_package(tmp_path / "p", "logits", limits=True))
    np.save(package.root / "projection.npy", rows.astype(np.float16))
    package = write_package(package.root, package.manifest.model_copy(update={"files": describe_files(package.root)}))
    with pytest.raises(DamagedPackageError, match=r"projection\.npy"):
        load_model(package)


def test_a_projection_needs_an_embedding(tmp_path: Path) -> None:
    manifest = build_package(tmp_path / "p").manifest
    spec = {"images": 0, "projection": "golden.png", "directions": 2, "file": "golden.png"}
    with pytest.raises(ValidationError, match=r"needs output\.embedding"):
        type(manifest).model_validate(manifest.model_dump() | {"profile": spec})
    with pytest.raises(ValidationError, match="given together"):
        type(manifest).model_validate(manifest.model_dump() | {"profile": spec | {"projection": None}})


FEATURES = (Feature("brightness", "continuous"), Feature("detections", "count"), Feature("first_class", "category"))
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "brightness": st.floats(allow_nan=False, allow_infinity=False) | st.none(),
            "detections": st.integers(0, 300),
            "first_class": st.text(max_size=8).filter(lambda text: text.isprintable()) | st.none(),
        }
    ),
    max_size=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(val=ROWS, test=ROWS)
def test_a_profile_survives_being_written_and_read(tmp_path: Path, val: list[Any], test: list[Any]) -> None:
    profile = Profile.of_rows("detect", FEATURES, {"val": val, "test": test})
    profile.write(tmp_path)
    again = read_profile(tmp_path, ProfileSpec(images=len(val) + len(test)))
    assert (again.task, again.features, again.splits) == ("detect", FEATURES, {"val": len(val), "test": len(test)})
    assert [dict(zip(again.columns, row, strict=True)) for row in zip(*again.columns.values(), strict=True)] == [
        *val,
        *test,
    ]


def test_the_profile_is_as_its_description_says(tmp_path: Path) -> None:
    row = {"brightness": 0.5, "detections": 2, "first_class": "drei"}
    Profile.of_rows("detect", FEATURES, {"val": [row], "test": []}).write(tmp_path)
    assert json.loads((tmp_path / "profile.json").read_bytes()) == {
        "schema": 1,
        "task": "detect",
        "features": [
            {"name": "brightness", "kind": "continuous"},
            {"name": "detections", "kind": "count"},
            {"name": "first_class", "kind": "category"},
        ],
        "columns": {"brightness": [0.5], "detections": [2], "first_class": ["drei"]},
        "rows": 1,
        "splits": {"val": 1, "test": 0},
    }


GOOD: dict[str, Any] = {
    "schema": 1,
    "task": "detect",
    "features": [{"name": "a", "kind": "continuous"}],
    "columns": {"a": [1.5, None]},
    "rows": 2,
    "splits": {"val": 2},
}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"schema": 2}, "schema"),
        ({"rows": 3}, "do not have 3 rows"),
        ({"splits": {"val": 1}}, "do not have 2 rows"),
        ({"columns": {"a": ["x", None]}}, "a is not all continuous"),
        ({"columns": {"b": [1, 2]}}, "not the same"),
        ({"features": GOOD["features"] * 2}, "not the same"),
        ({"features": []}, "features"),
        ({"columns": {"a": [True, None]}}, "columns"),
        ({"columns": {"a": [[1], None]}}, "columns"),
        ({"columns": {"a": [1e999, None]}}, "columns"),
        ({"columns": {"a": [10**400, None]}}, "columns"),
        ({"features": [{"name": "a", "kind": "picture"}]}, "kind"),
    ],
)
def test_what_is_no_profile_is_refused_with_its_reason(tmp_path: Path, change: dict[str, Any], what: str) -> None:
    (tmp_path / "profile.json").write_text(json.dumps(GOOD))
    assert read_profile(tmp_path, ProfileSpec(images=2)).columns == {"a": (1.5, None)}
    (tmp_path / "profile.json").write_text(json.dumps(GOOD | change))
    with pytest.raises(PackageError, match=what) as caught:
        read_profile(tmp_path, ProfileSpec(images=2))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_is_no_profile(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "profile.json").write_bytes(content)
    with pytest.raises(PackageError, match=r"profile\.json"):
        read_profile(tmp_path, ProfileSpec(images=2))


def test_a_profile_of_other_images_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "profile.json").write_text(json.dumps(GOOD))
    with pytest.raises(PackageError, match="2 rows, the manifest says 5"):
        read_profile(tmp_path, ProfileSpec(images=5))
    with pytest.raises(PackageError, match="cannot be read"):
        read_profile(tmp_path / "gone", ProfileSpec(images=5))


def test_a_package_of_before_has_no_profile(tmp_path: Path) -> None:
    package = build_package(tmp_path / "p")
    assert profile_of(package) is None


def a_row(**fields: Any) -> LogRow:
    values: dict[str, Any] = {
        "id": "0" * 32,
        "at": datetime(2026, 11, 29, 8, 0, 0, 123_456, UTC),
        "model": "fingers",
        "version": "3",
        "package": "d" * 64,
        "source": "camera-1",
        "weight": 1.0,
        "features": {"brightness": 0.5, "detections": 2, "first_class": "3", "jpeg_quality": None},
    }
    return LogRow(**(values | fields))


def test_a_row_is_as_its_description_says() -> None:
    line = a_row(at=datetime(2026, 11, 29, 9, 0, 0, 123_456, timezone(timedelta(hours=1)))).line()
    assert line == (
        '{"id":"00000000000000000000000000000000","at":"2026-11-29T08:00:00.123Z","model":"fingers","version":"3",'
        f'"package":"{"d" * 64}","source":"camera-1","weight":1.0,'
        '"features":{"brightness":0.5,"detections":2,"first_class":"3","jpeg_quality":null}}\n'
    )


@given(
    st.dictionaries(
        st.text(max_size=9),
        st.none()
        | st.integers(-(2**60), 2**60)
        | st.text(max_size=9)
        | st.floats(allow_nan=False, allow_infinity=False),
    )
)
def test_a_row_survives_being_written_and_read(features: dict[str, Any]) -> None:
    row = a_row(at=datetime(2026, 11, 29, 8, tzinfo=UTC), features=features)
    line = row.line()
    assert line.count("\n") == 1
    assert parse_row(line) == row


@pytest.mark.parametrize("cut", [0, 1, 50, -2])
def test_a_line_that_was_cut_off_is_no_row(cut: int) -> None:
    assert parse_row(a_row().line()[:cut]) is None


@pytest.mark.parametrize(
    "change",
    [
        {"id": 3}, {"id": ""}, {"at": "yesterday"}, {"weight": 0}, {"weight": "x"}, {"weight": float("inf")},
        {"features": [1]}, {"features": {"a": [1]}}, {"features": {"a": float("nan")}}, {"source": None},
    ],
)  # fmt: skip
def test_what_is_no_row(change: dict[str, Any]) -> None:
    assert parse_row(json.dumps(json.loads(a_row().line()) | change)) is None


def test_a_segment_is_read_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl.gz"
    rows = [a_row(id=f"{i:032x}", at=datetime(2026, 1, 1, tzinfo=UTC)) for i in range(5)]
    path.write_bytes(gzip.compress("".join(row.line() for row in rows).encode()))
    assert list(read_rows(path)) == rows


@pytest.mark.parametrize(
    "content",
    [b"no gzip", gzip.compress(a_row().line().encode())[:-9], gzip.compress(b"{}\n")],
    ids=["no gzip", "cut off", "no row"],  # By itself an id would hold the second in which it was compressed.
)
def test_what_is_no_segment(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s.jsonl.gz").write_bytes(content)
    with pytest.raises(DataError, match=r"s\.jsonl\.gz is no whole segment"):
        list(read_rows(tmp_path / "s.jsonl.gz"))


def test_the_counts_of_the_tiny_model_are_what_the_features_say(tmp_path: Path) -> None:
    package = build_package(tmp_path / "p")
    data = encode(picture({(1, 1): "2", (4, 4): "5"}))
    image = decode_reduced(data)
    features = features_of(data, image, load_model(package).predict(image.pixels), package.manifest)
    assert features["count"] == COUNTS["2"] + COUNTS["5"]
    assert features["detections.5"] == 1
    assert features["format"] == "PNG"
