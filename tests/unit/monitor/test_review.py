"""The monitor's routes for reviews, on a fake MLflow."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from fakes.registry import FakeMlflow
from handful_core.review import ReviewStore
from handful_monitor.api.app import create_app
from handful_monitor.api.state import ApiState
from handful_monitor.settings import MonitorSettings
from handful_monitor.standing import Standing
from handful_monitor.traffic import TrafficCounter
from support.captured import BOX, NOON, draw_leaf, draw_picture, draw_review, review_store


@pytest.fixture
def mlflow() -> FakeMlflow:
    return FakeMlflow()


@pytest.fixture
def store(mlflow: FakeMlflow) -> ReviewStore:
    return review_store(mlflow)


@pytest.fixture
def http(mlflow: FakeMlflow) -> Iterator[TestClient]:
    state = ApiState(MonitorSettings(), Standing(7), TrafficCounter(7), "http://mlflow.example", review_store(mlflow))
    with TestClient(create_app(state), raise_server_exceptions=False) as client:
        yield client


def put(http: TestClient, picture: str, revision: int | str | None, **said: Any) -> Any:
    headers = {"X-Handful-Caller": "anna"} | ({} if revision is None else {"If-Match": f'"{revision}"'})
    return http.put(f"/review/pictures/{picture}", json={"status": "accepted"} | said, headers=headers)


def test_pictures_wait_the_unsure_ones_first(http: TestClient, store: ReviewStore) -> None:
    scores = [0.55, 0.9, 0.7]
    pictures = [draw_picture(score=score) for score in scores]
    for each in [*pictures, draw_picture("other")]:
        store.add(each, b"jpeg")
    store.add(chance := draw_picture(id="80" + "0" * 30, reason="random", score=0.0), b"jpeg")
    answer = http.get("/review/pictures", params={"model": "fingers"}).json()
    assert [each["id"] for each in answer["pictures"]] == [
        pictures[1].id, pictures[2].id, pictures[0].id, chance.id,
    ]  # fmt: skip
    assert (answer["open"], answer["done"]) == (4, 0)
    assert answer["pictures"][0] == pictures[1].to_json() | {"revision": 0}
    assert http.get("/review/models").json() == {
        "models": [{"name": "fingers", "open": 4, "done": 0}, {"name": "other", "open": 1, "done": 0}]
    }
    image = http.get(f"/review/pictures/{chance.id}/image")
    assert (image.content, image.headers["content-type"]) == (b"jpeg", "image/jpeg")
    assert (image.headers["cache-control"], image.headers["x-content-type-options"]) == ("no-store", "nosniff")


def test_a_review_is_kept_with_its_revision_and_who_said_it(http: TestClient, store: ReviewStore) -> None:
    store.add(picture := draw_picture(), b"jpeg")
    first = put(http, picture.id, 0)
    assert (first.status_code, first.headers["etag"]) == (200, '"1"')
    assert first.json()["annotation"] == {"objects": [{"name": "3", "box": list(BOX)}]}
    corrected = {"objects": [{"name": "4", "box": [-3, 30, 200, 180]}, {"name": "5", "box": [1, 2, 30, 40]}]}
    second = put(http, picture.id, 1, status="corrected", annotation=corrected)
    assert second.headers["etag"] == '"2"'
    review = store.review(picture.id)
    assert review is not None
    assert (review.revision, review.status, review.by) == (2, "corrected", "anna")
    assert [each.box for each in review.annotation.objects] == [(0, 30, 200, 180), (1, 2, 30, 40)]
    (listed,) = http.get("/review/pictures", params={"model": "fingers", "status": "done"}).json()["pictures"]
    assert (listed["revision"], listed["review"]) == (2, review.to_json())
    assert http.get("/review/pictures", params={"model": "fingers"}).json()["pictures"] == []
    third = put(http, picture.id, 2, status="not usable", annotation=corrected)
    assert third.json()["annotation"] == {"objects": []}


def test_two_people_do_not_overwrite_each_other(http: TestClient, store: ReviewStore) -> None:
    store.add(picture := draw_picture(), b"jpeg")
    assert put(http, picture.id, 0, status="corrected", annotation={"objects": []}).status_code == 200
    late = put(http, picture.id, 0)
    assert late.status_code == 409
    assert late.json()["type"] == "urn:handful:problem:conflict"
    assert "is at revision 1" in late.json()["detail"]
    review = store.review(picture.id)
    assert review is not None
    assert (review.status, review.annotation.objects) == ("corrected", ())


@pytest.mark.parametrize(
    ("revision", "said", "status"),
    [
        (None, {}, 428),
        ("*", {}, 400),
        ("x", {}, 400),
        (0, {"status": "fine"}, 400),
        (0, {"more": 1}, 400),
        (0, {"status": "corrected"}, 422),
        (0, {"status": "corrected", "annotation": {"name": "rust"}}, 422),
        (0, {"status": "corrected", "annotation": {"objects": [{"name": "4", "box": [400, 1, 500, 9]}]}}, 422),
        (0, {"status": "corrected", "annotation": {"objects": [{"name": "4", "box": [1, 2, 3]}]}}, 422),
    ],
)
def test_what_is_no_review_is_refused(
    http: TestClient, store: ReviewStore, revision: int | str | None, said: dict[str, Any], status: int
) -> None:
    store.add(picture := draw_picture(), b"jpeg")
    answer = put(http, picture.id, revision, **said)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert store.review(picture.id) is None


def test_a_leaf_gets_a_class(http: TestClient, store: ReviewStore) -> None:
    store.add(leaf := draw_leaf(), b"jpeg")
    assert put(http, leaf.id, 0).json()["annotation"] == {"name": "rust"}
    assert put(http, leaf.id, 1, status="corrected", annotation={"objects": []}).status_code == 422
    said = put(http, leaf.id, 1, status="corrected", annotation={"name": "healthy"})
    assert said.json()["annotation"] == {"name": "healthy"}


def test_one_or_all_are_deleted(http: TestClient, store: ReviewStore, mlflow: FakeMlflow) -> None:
    pictures = [draw_picture(at=NOON + timedelta(minutes=n)) for n in range(3)]
    for each in pictures:
        store.add(each, b"jpeg of a person")
        store.write(draw_review(each))
    assert http.delete(f"/review/pictures/{pictures[0].id}").json() == {"deleted": 1}
    assert http.get(f"/review/pictures/{pictures[0].id}/image").status_code == 404
    assert http.delete(f"/review/pictures/{pictures[0].id}").status_code == 404
    assert http.delete("/review/pictures", params={"model": "fingers"}).json() == {"deleted": 2}
    assert http.get("/review/pictures", params={"model": "fingers", "status": "done"}).json()["done"] == 0
    assert http.get("/review/models").json() == {"models": []}
    assert all(b"person" not in content for content in mlflow._files.values())
    assert [name for name in mlflow._files if "captured" in name or "reviewed" in name] == []


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Host": "evil.example:8002"}, {"Host": ""}])
def test_no_web_page_gets_a_picture(http: TestClient, store: ReviewStore, headers: dict[str, str]) -> None:
    store.add(picture := draw_picture(), b"jpeg")
    for method, path in (("GET", f"/{picture.id}/image"), ("GET", "?model=fingers"), ("DELETE", f"/{picture.id}")):
        assert http.request(method, f"/review/pictures{path}", headers=headers).status_code == 403
    assert http.get("/review/models", headers={"Host": "127.0.0.1:8002"}).status_code == 200


def test_while_mlflow_is_away_it_says_so(http: TestClient, store: ReviewStore, mlflow: FakeMlflow) -> None:
    store.add(picture := draw_picture(), b"jpeg")
    mlflow.away = True
    for answer in (
        http.get("/review/models"),
        http.get("/review/pictures", params={"model": "fingers"}),
        http.get(f"/review/pictures/{picture.id}/image"),
        put(http, picture.id, 0),
        http.delete(f"/review/pictures/{picture.id}"),
    ):
        assert answer.status_code == 503
        assert answer.json()["type"] == "urn:handful:problem:unavailable"


@pytest.mark.parametrize("picture", ["0" * 32, "..%2f..%2fsecret", "x"])
def test_a_picture_that_is_not_there(http: TestClient, picture: str) -> None:
    assert http.get(f"/review/pictures/{picture}/image").status_code == 404
    assert put(http, picture, 0).status_code == 404
