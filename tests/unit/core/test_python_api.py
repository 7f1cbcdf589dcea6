"""`import handful`: a model in this process. How a server is asked is in tests/integration."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import handful
import handful.model
from fakes.packages import SURE, build_package, damage, encode, filled, picture, square_box
from fakes.registry import FakeMlflow
from handful_core.package import zip_package
from handful_core.registry import Registry
from handful_serving.api.schemas import PredictionAnswer

HAND = picture({(2, 3): "5"})


def test_a_package_s_zip_answers_after_it_was_closed(tmp_path: Path) -> None:
    package = zip_package(build_package(tmp_path / "package"), tmp_path / "package.zip")
    model = handful.load(package)
    assert (model.name, model.version, model.task) == ("fingers", None, "detect")
    assert model.classes == ("0", "1", "2", "3", "4", "5", "unknown")
    answer = model.predict(encode(HAND))
    (found,) = answer.detections
    assert (answer.count, found.name, found.class_id, found.box) == (5, "5", 5, square_box(2, 3))
    assert found.confidence == pytest.approx(SURE, abs=1e-3)
    assert (found.box.width, found.box.height) == (8, 8)
    assert (answer.image.width, answer.image.height, answer.faces) == (64, 64, None)
    assert model.predict(HAND, channel_order="bgr").detections == answer.detections
    assert model.predict(HAND[..., ::-1]).detections == answer.detections
    assert model.predict(encode(HAND), confidence=0.99).detections == ()


def test_a_classifier_tells_its_limits(tmp_path: Path) -> None:
    model = handful.load(build_package(tmp_path / "package", "logits", limits=True).root)
    answer = model.predict(encode(filled("3")), top=2, explain=True)
    assert (answer.name, answer.count, answer.detections) == ("3", None, ())
    assert answer.top is not None
    assert answer.probabilities is not None
    assert answer.explanation is not None
    assert [len(answer.top), len(answer.probabilities)] == [2, 7]
    assert (answer.uncertain, answer.prediction_set, answer.out_of_distribution) == (False, ("3",), False)
    orange = model.predict(np.full((64, 64, 3), (255, 110, 0), np.uint8))
    assert orange.out_of_distribution is True


def test_a_registered_version_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = FakeMlflow()
    monkeypatch.setattr(handful.model, "Registry", partial(Registry, attempts=1, transport=mlflow.transport()))
    mlflow.register(build_package(tmp_path / "one"), aliases=["champion"])
    mlflow.register(None)
    for reference in ("models:/fingers@champion", "models:/fingers/1"):
        model = handful.load(reference)
        assert (model.version, model.predict(encode(HAND)).count) == (1, 5)
        assert model.predict(encode(HAND)).version == 1
    with pytest.raises(handful.NotFoundError, match="no alias shadow: it has champion"):
        handful.load("models:/fingers@shadow")
    with pytest.raises(handful.PackageError, match="holds no model package"):
        handful.load("models:/fingers/2")
    with pytest.raises(handful.ConfigError, match="write models:/NAME@ALIAS"):
        handful.load("models:/fingers")
    mlflow.away = True
    with pytest.raises(handful.UnavailableError):
        handful.load("models:/fingers@champion")


def test_what_is_no_package_is_told(tmp_path: Path) -> None:
    with pytest.raises(handful.PackageError, match=r"nothing\.zip does not exist"):
        handful.load(tmp_path / "nothing.zip")
    damaged = build_package(tmp_path / "package").root
    damage(damaged, "golden")
    with pytest.raises(handful.PackageError, match="does not give the expected answer"):
        handful.load(damaged)


def test_answers_have_the_fields_of_the_api() -> None:
    """One answer, two descriptions of it: serving's is for its OpenAPI, this one for programs."""
    assert set(handful.Answer.model_fields) == set(PredictionAnswer.model_fields)


def test_an_answer_is_json_again(tmp_path: Path) -> None:
    answer = handful.load(build_package(tmp_path / "package").root).predict(encode(HAND))
    fields = json.loads(json.dumps(answer.as_json()))
    assert fields["detections"][0]["class"] == 5
    assert handful.Answer.model_validate(fields) == answer
    assert handful.Answer.model_validate(fields | {"news": 1}) == answer, "a later server may say more"
