"""A classifier that knows its limits, beside a detector in one server."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.graphs import SIZE
from fakes.packages import CLASSES, build_package, encode, filled, picture
from fakes.registry import FakeMlflow
from handful_core.package import Manifest
from handful_core.vision.classification import Explanation
from handful_core.vision.drawing import draw
from handful_core.vision.prediction import Prediction
from handful_serving.domain.model_ref import ModelRef
from handful_serving.domain.prediction import PredictOptions
from handful_serving.domain.rollout import TrafficSplit
from support.serving_app import make_app, running
from support.serving_models import ServingModels
from support.waiting import until_async

pytestmark = pytest.mark.anyio

LEAF = encode(filled("3"))
HAND = encode(picture({(2, 3): "5"}))
ORANGE = encode(np.full((SIZE, SIZE, 3), (0, 110, 255), np.uint8))


def halves(left: str, right: str) -> np.ndarray:
    """A picture in the colours of two classes, side by side."""
    pixels = filled(left)
    pixels[:, SIZE // 2 :] = filled(right)[:, SIZE // 2 :]
    return pixels


def mostly(main: str, rest: str) -> np.ndarray:
    """A picture in the colour of one class, with a quarter of another at the right."""
    pixels = filled(main)
    pixels[:, SIZE * 3 // 4 :] = filled(rest)[:, SIZE * 3 // 4 :]
    return pixels


BETWEEN = encode(halves("0", "2"))


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    mlflow = FakeMlflow()
    mlflow.register(build_package(tmp_path / "fingers"), aliases=["champion"])
    leaves = build_package(tmp_path / "leaves", "logits", name="leaves", limits=True)
    mlflow.register(leaves, "leaves", ["champion"], {"task": "classify"})
    plain = build_package(tmp_path / "plain", "probabilities", name="plain")
    mlflow.register(plain, "plain", ["champion"], {"task": "classify"})
    async with running(make_app(tmp_path, mlflow, queue_size=100)) as asking:
        yield asking


async def ask(client: httpx.AsyncClient, data: bytes, **options: Any) -> dict[str, Any]:
    response = await client.post("/predict", params={"model": "leaves", **options}, content=data)
    assert response.status_code == 200, response.text
    return dict(response.json())


async def test_an_answer_knows_its_limits(client: httpx.AsyncClient) -> None:
    answer = await ask(client, LEAF)
    assert (answer["task"], answer["count"], answer["detections"]) == ("classify", None, [])
    assert answer["top"] == answer["probabilities"][:5]
    assert answer["top"][0]["name"] == "3"
    assert len(answer["probabilities"]) == len(CLASSES)
    assert (answer["uncertain"], answer["prediction_set"], answer["out_of_distribution"]) == (False, ["3"], False)
    assert answer["distance"] <= answer["distance_limit"] == 0.05
    assert "explanation" not in answer


async def test_doubts_are_told(client: httpx.AsyncClient) -> None:
    between = await ask(client, BETWEEN)
    likely = [each["name"] for each in between["probabilities"] if each["probability"] >= 0.2]
    assert len(likely) > 1
    assert sorted(between["prediction_set"]) == sorted(likely)
    strange = await ask(client, ORANGE)
    assert strange["out_of_distribution"] is True
    assert strange["distance"] > strange["distance_limit"]
    assert (await ask(client, LEAF, confidence=0.9999))["uncertain"] is True


async def test_what_a_package_does_not_know_is_null(client: httpx.AsyncClient) -> None:
    answer = await ask(client, LEAF, model="plain", explain="true")
    unknown = ("prediction_set", "out_of_distribution", "distance", "distance_limit")
    assert [answer[name] for name in unknown] == [None] * 4
    assert answer["uncertain"] is False
    assert "explanation" not in answer


@pytest.mark.parametrize("place", ["params", "data"])
@pytest.mark.parametrize(("top", "named"), [(1, 1), (2, 2), (100, len(CLASSES))])
async def test_top_says_how_many_classes_come_first(
    client: httpx.AsyncClient, place: str, top: int, named: int
) -> None:
    sent: dict[str, Any] = {place: {"top": str(top), "model": "leaves"}}
    answer = (await client.post("/predict", files={"image": LEAF}, **sent)).json()
    assert answer["top"] == answer["probabilities"][:named]
    assert len(answer["probabilities"]) == len(CLASSES)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"top": "0"}, "top is wrong: Input should be greater than or equal to 1"),
        ({"top": "101"}, "top is wrong: Input should be less than or equal to 100"),
        ({"top": "many"}, "top is wrong: Input should be a valid integer"),
        ({"top": "2.5"}, "top is wrong: Input should be a valid integer"),
        ({"explain": "where"}, "explain is wrong: Input should be a valid boolean"),
    ],
)
async def test_a_wrong_parameter_is_told(client: httpx.AsyncClient, wrong: dict[str, str], words: str) -> None:
    for sent in ({"params": wrong}, {"data": wrong}):
        response = await client.post("/predict", files={"image": LEAF}, **sent)  # type: ignore[arg-type]
        assert response.status_code == 400
        assert words in response.json()["detail"]


async def test_a_map_is_there_when_asked_for(client: httpx.AsyncClient) -> None:
    tall = encode(cv2.resize(mostly("3", "4"), (200, 400), interpolation=cv2.INTER_NEAREST))
    answer = await ask(client, tall, explain="true")
    shown = answer["explanation"]
    assert (shown["class"], shown["name"]) == (answer["top"][0]["class"], answer["top"][0]["name"])
    assert shown["exact"] is True
    assert np.array(shown["values"]).shape == (8, 8)
    assert np.max(shown["values"]) == 1
    # The letterbox makes a square of it: the grid reaches beyond both sides.
    assert shown["box"] == pytest.approx([-100, 0, 300, 400], abs=1)
    assert (await ask(client, HAND, model="fingers", explain="true")).get("explanation") is None


async def test_a_map_lies_on_the_photo_as_it_was_sent(client: httpx.AsyncClient) -> None:
    """A JPEG this large is decoded at an eighth of its size."""
    large = encode(cv2.resize(mostly("3", "4"), (1600, 1600), interpolation=cv2.INTER_NEAREST), ".jpg")
    answer = await ask(client, large, explain="true")
    assert answer["image"] == {"width": 1600, "height": 1600}
    assert answer["explanation"]["box"] == pytest.approx([0, 0, 1600, 1600])


async def test_a_batch_has_the_same_answers(client: httpx.AsyncClient) -> None:
    files = [("images", ("a.png", LEAF)), ("images", ("b.png", ORANGE))]
    answer = (await client.post("/predict/batch?model=leaves&top=2&explain=true", files=files)).json()
    first, second = (item["prediction"] for item in answer["results"])
    assert (first["top"][0]["name"], len(first["top"])) == ("3", 2)
    assert (first["out_of_distribution"], second["out_of_distribution"]) == (False, True)
    assert first["explanation"]["name"] == "3"


async def test_the_picture_shows_class_and_map(client: httpx.AsyncClient) -> None:
    def pixels(answer: dict[str, Any]) -> np.ndarray:
        data = base64.b64decode(answer["picture"].partition(",")[2])
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).astype(int)

    large = encode(cv2.resize(mostly("3", "4"), (640, 640), interpolation=cv2.INTER_NEAREST))
    asked = {"return_image": "true", "annotate": "true"}
    plain = pixels(await ask(client, large, return_image="true", explain="true"))
    labelled = pixels(await ask(client, large, **asked))
    answer = await ask(client, large, **asked, explain="true")
    shown = pixels(answer)
    assert np.abs(labelled - plain)[60:].max() < 40, "below the label nothing is drawn"
    assert np.abs(labelled - plain)[:30].max() > 100
    values = np.kron(np.array(answer["explanation"]["values"]), np.ones((80, 80)))
    changed = np.abs(shown - labelled).max(axis=2)
    seen, unseen = changed[100:][values[100:] == 1], changed[100:][values[100:] == 0]
    assert np.median(seen) > 60
    assert np.median(unseen) < 12


def manifest_of(*classes: str) -> Manifest:
    content = {
        "name": "leaves", "task": "classify", "architecture": "tiny", "classes": classes,
        "input": {"width": 64, "height": 64}, "output": {"head": "logits", "shape": ()}, "opset": 17,
        "files": {"model.onnx": {"sha256": "0" * 64, "size": 1}}, "producer": {"handful": "0"}, "created": "",
    }  # fmt: skip
    return Manifest.model_validate(content)


@given(
    st.tuples(*[st.integers(1, 12)] * 2),
    st.tuples(*[st.integers(1, 90)] * 2),
    st.tuples(*[st.floats(-40, 60)] * 2),
    st.tuples(*[st.floats(1, 120)] * 2),
)
def test_a_map_of_any_shape_is_drawn_where_it_lies(
    grid: tuple[int, int], size: tuple[int, int], corner: tuple[float, float], extent: tuple[float, float]
) -> None:
    """Full evidence everywhere: all of the box within the picture changes, and nothing outside of it."""
    height, width = size
    box = (corner[0], corner[1], corner[0] + extent[0], corner[1] + extent[1])
    pixels = np.full((height, width, 3), 255, np.uint8)
    shown = Prediction(explanation=Explanation(0, np.ones(grid, np.float32), box, exact=True))
    data = np.frombuffer(draw(pixels, shown, manifest_of("a", "b")), np.uint8)
    drawn = cv2.imdecode(data, cv2.IMREAD_COLOR).astype(int)
    rows, columns = np.arange(height), np.arange(width)
    inside_rows, inside_columns = (
        (rows >= box[1] + 9) & (rows < box[3] - 9),
        (columns >= box[0] + 9) & (columns < box[2] - 9),
    )
    outside = ((rows < box[1] - 9) | (rows > box[3] + 9))[:, None] | (columns < box[0] - 9) | (columns > box[2] + 9)
    inside = inside_rows[:, None] & inside_columns
    assert np.all(drawn[outside] > 215)
    assert np.all(drawn[inside][:, 1] < 150)


async def test_both_tasks_are_served_side_by_side(client: httpx.AsyncClient) -> None:
    tasks: dict[str, tuple[str | None, bool]] = {"none": (None, False)}
    async with asyncio.timeout(60):
        while any(task is None for task, _ in tasks.values()):  # It is ready with the first, and loads the others.
            listed = (await client.get("/models")).json()
            tasks = {model["name"]: (model["task"], model["default"]) for model in listed["models"]}
    assert tasks == {"fingers": ("detect", True), "leaves": ("classify", False), "plain": ("classify", False)}
    assert (await client.post("/predict", content=HAND)).json()["count"] == 5
    assert (await ask(client, LEAF))["top"][0]["name"] == "3"
    classes = (await client.get("/classes", params={"model": "leaves"})).json()["classes"]
    assert [each["count"] for each in classes] == [None] * len(CLASSES)
    assert (await client.get("/classes")).json()["classes"][3] == {"id": 3, "name": "3", "count": 3}


async def test_the_task_of_a_model_that_is_not_in_memory_is_known_from_its_tags(tmp_path: Path) -> None:
    mlflow = FakeMlflow()
    mlflow.register(build_package(tmp_path / "fingers"), aliases=["champion"])
    leaves = build_package(tmp_path / "leaves", "logits", name="leaves")
    mlflow.register(leaves, "leaves", tags={"task": "classify"})
    mlflow.register(build_package(tmp_path / "old", name="old"), "old", tags={"task": "segment"})
    async with running(make_app(tmp_path, mlflow)) as client:
        listed = (await client.get("/models")).json()["models"]
    assert {model["name"]: model["task"] for model in listed} == {
        "fingers": "detect",
        "leaves": "classify",
        "old": None,
    }


async def test_doubtful_answers_are_counted_by_the_models_own_threshold(client: httpx.AsyncClient) -> None:
    await client.post("/predict", content=HAND)
    for data in (LEAF, ORANGE, BETWEEN):
        await ask(client, data, confidence=0)
    answers = [await ask(client, data) for data in (LEAF, ORANGE, BETWEEN)]
    labels = '{model="leaves",version="1"}'
    counted: dict[str, float] = {}
    async with asyncio.timeout(20):
        while counted.get(f"handful_predictions_total{labels}") != 6:  # They are recorded after the answer.
            await asyncio.sleep(0.01)
            text = (await client.get("/metrics")).text
            lines = (line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
            counted = {name: float(value) for name, value in lines}
    uncertain = 2 * sum(answer["uncertain"] for answer in answers)
    unlike = 2 * sum(answer["out_of_distribution"] for answer in answers)
    assert unlike > 0
    assert counted[f"handful_predictions_uncertain_total{labels}"] == uncertain
    assert counted[f"handful_predictions_out_of_distribution_total{labels}"] == unlike
    assert counted['handful_detections_total{class="3",model="leaves",version="1"}'] == 2
    assert counted['handful_predictions_uncertain_total{model="fingers",version="1"}'] == 0


async def compared(serving: ServingModels, *pictures: bytes, **challenger: Any) -> list[str]:
    """What comes of a champion's and a challenger's answers."""
    serving.register("champion", head="logits", limits=True)
    serving.register("challenger", **{"head": "logits", "limits": True, **challenger})
    manager = serving.manager()
    await manager.watcher.poll()
    predictor = serving.predictor(manager, shares=TrafficSplit(shadow=1))
    await manager.find(ModelRef(alias="challenger"))
    for number, data in enumerate(pictures, start=1):
        await predictor.predict(data, ModelRef())
        await until_async(lambda number=number: len(serving.observer.comparisons) == number)
    predictor.close()
    return [outcome for _, outcome in serving.observer.comparisons]


async def test_a_shadow_agrees_with_the_same_first_class_and_set(serving: ServingModels) -> None:
    assert await compared(serving, LEAF, BETWEEN) == ["agree", "agree"]


async def test_a_shadow_with_another_set_differs(serving: ServingModels) -> None:
    sets = {"probability": 0.0001, "images": 20}
    assert await compared(serving, LEAF, BETWEEN, prediction_sets=sets) == ["differ", "differ"]


async def test_a_shadow_without_sets_is_compared_by_its_first_class(serving: ServingModels) -> None:
    assert await compared(serving, LEAF, BETWEEN, limits=False) == ["agree", "agree"]


async def test_a_shadow_may_number_its_classes_otherwise(serving: ServingModels) -> None:
    """The names count: what the champion calls 3 is the challenger's 0."""
    renamed = ("3", "1", "2", "0", "4", "5", "unknown")
    assert await compared(serving, LEAF, encode(filled("1")), classes=renamed) == ["differ", "agree"]


async def test_a_shadow_of_another_task_differs(serving: ServingModels) -> None:
    """A picture without any object: a detector's answer is as empty as the classifier's detections."""
    assert await compared(serving, LEAF, head="raw", limits=False) == ["differ"]


async def test_a_detector_that_numbers_its_classes_otherwise_agrees_by_name(serving: ServingModels) -> None:
    renamed = ("5", "1", "2", "3", "4", "0", "unknown")
    serving.register("champion")
    serving.register("challenger", classes=renamed)
    manager = serving.manager()
    await manager.watcher.poll()
    predictor = serving.predictor(manager, shares=TrafficSplit(shadow=1))
    await manager.find(ModelRef(alias="challenger"))
    # Both see the colour of their own class 5 or 2: the first has another name to the challenger, the second not.
    for number, name in enumerate(("5", "2"), start=1):
        await predictor.predict(encode(picture({(2, 3): name})), ModelRef())
        await until_async(lambda number=number: len(serving.observer.comparisons) == number)
    predictor.close()
    assert [outcome for _, outcome in serving.observer.comparisons] == ["differ", "agree"]


async def test_a_photo_is_not_reduced_below_what_a_cropping_model_sees(serving: ServingModels) -> None:
    """A panorama's shorter side fills the input: an eighth of it would be enlarged again."""
    spec = {"width": 64, "height": 64, "resize": "crop"}
    serving.register("champion", head="logits", input=spec, golden=False)
    manager = serving.manager()
    await manager.watcher.poll()
    predictor = serving.predictor(manager, max_pixels=10_000_000)
    wide = np.zeros((256, 4096, 3), np.uint8)
    wide[::2] = 255
    answers = []
    for options in (PredictOptions(), PredictOptions(drawing="plain")):  # A picture that is sent back is not reduced.
        result = await predictor.predict(encode(wide, ".jpg"), ModelRef(), options)
        answers.append(result.prediction.probabilities)
    predictor.close()
    assert answers[0] == pytest.approx(answers[1], abs=0.02)
