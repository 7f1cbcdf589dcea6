from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.registry import FakeMlflow
from handful_core.errors import DataError, UnavailableError
from handful_core.registry.monitoring import REVIEW_PREFIX, MonitoringExperiments
from handful_core.review import Annotation, ReviewedObject, ReviewStore
from handful_core.review.records import parse_annotation, parse_picture, parse_review
from support.captured import draw_leaf, draw_picture, draw_review
from support.review_suite import ReviewSuite


@pytest.fixture
def mlflow() -> FakeMlflow:
    return FakeMlflow()


@pytest.fixture
def experiments(mlflow: FakeMlflow) -> MonitoringExperiments:
    return MonitoringExperiments("http://mlflow", attempts=1, transport=mlflow.transport(), prefix=REVIEW_PREFIX)


class TestOnTheFake(ReviewSuite):
    """The suite on the stand-in that unit tests use."""


def test_mlflow_that_is_away_is_told(mlflow: FakeMlflow, experiments: MonitoringExperiments) -> None:
    store = ReviewStore(experiments)
    store.add(picture := draw_picture(), b"jpeg")
    mlflow.away = True
    for ask in (store.pictures, store.reviews, store.delete_all):
        with pytest.raises(UnavailableError):
            ask("fingers")
    for ask in (store.image, store.delete):
        with pytest.raises(UnavailableError):
            ask(picture.id)
    with pytest.raises(UnavailableError):
        store.write(draw_review(picture))


@pytest.mark.parametrize("picture", [draw_picture(), draw_leaf()], ids=["detect", "classify"])
def test_records_are_read_as_they_were_written(picture: Any) -> None:
    assert parse_picture(json.dumps(picture.to_json())) == picture
    review = draw_review(picture)
    assert parse_review(json.dumps(review.to_json())) == review


def test_the_proposal_is_the_answer_without_its_confidence() -> None:
    assert draw_picture().proposal == Annotation((ReviewedObject("3", (40, 30, 200, 180)),))
    assert draw_leaf().proposal == Annotation(name="rust")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema", 2),
        ("id", "../x"),
        ("at", "yesterday"),
        ("model", ""),
        ("task", "segment"),
        ("width", 0),
        ("height", True),
        ("reason", "because"),
        ("score", "high"),
        ("phash", -2),
        ("profile", []),
        ("profile", {"brightness": [1]}),
        ("answer", {"objects": [{"name": "3", "confidence": 0.4, "box": [1, 2, 1, 4]}]}),
        ("answer", {"objects": [{"name": "3", "confidence": 0.4, "box": [1, 2, 3]}]}),
        ("answer", {}),
        ("source", "s" * 300),
    ],
)
def test_a_damaged_record_is_refused(field: str, value: object) -> None:
    with pytest.raises(DataError, match="is damaged"):
        parse_picture(json.dumps(draw_picture().to_json() | {field: value}))


def test_boxes_are_clipped_to_the_picture() -> None:
    found = parse_annotation({"objects": [{"name": "4", "box": [-5, 10, 400, 90.5]}]}, draw_picture())
    assert found == Annotation((ReviewedObject("4", (0, 10, 320, 90.5)),))


@pytest.mark.parametrize(
    "content",
    [
        {"objects": [{"name": "4", "box": [330, 10, 400, 90]}]},
        {"objects": [{"name": "", "box": [1, 2, 30, 40]}]},
        {"objects": "all"},
        {"name": "rust"},
        {},
        [],
        None,
        {"objects": [{"name": "4", "box": [1, 2, 30, 40]}] * 1001},
    ],
)
def test_an_annotation_that_does_not_fit_is_refused(content: Any) -> None:
    with pytest.raises(DataError):
        parse_annotation(content, draw_picture())
    with pytest.raises(DataError):
        parse_annotation({"objects": []}, draw_leaf())


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@given(field=st.sampled_from(sorted(draw_picture().to_json())), value=_JSON)
def test_any_record_is_read_or_refused(field: str, value: Any) -> None:
    content = json.dumps(draw_picture().to_json() | {field: value})
    try:
        found = parse_picture(content)
    except DataError:
        return
    assert parse_picture(json.dumps(found.to_json())) == found
