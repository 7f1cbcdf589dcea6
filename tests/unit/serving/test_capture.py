"""Serving keeps pictures for review: which, how many, and that the answer says so."""

from __future__ import annotations

import asyncio
import json
import stat
import sys
from datetime import date
from pathlib import Path
from typing import Any

import cv2
import httpx
import matplotlib
import numpy as np
import pytest

from fakes.packages import build_package, encode, picture, square_box, sure
from fakes.registry import FakeMlflow
from handful_core.errors import ConfigError, UnavailableError
from handful_core.registry.monitoring import REVIEW_PREFIX, MonitoringExperiments
from handful_core.review import ReviewStore
from handful_core.review.choice import NEW_SCENE, Scenes, k_centre, scene_vector, uncertainty
from handful_core.vision.detections import Detections
from handful_core.vision.prediction import Prediction
from handful_serving.adapters.capture import capture
from handful_serving.adapters.capture.courier import Courier
from handful_serving.adapters.capture.spool import PictureSpool, WaitingPicture
from handful_serving.adapters.trusted_day import TrustedDay
from support.captured import NOON, draw_picture
from support.serving_app import make_app, running

HEADERS = {"Content-Type": "image/png"}
UNSURE = 2.4
"""A square scores 0.77 then, and a cell without one just too little."""
CAPTURE: dict[str, Any] = {"capture": "unsure", "capture_threshold": 0.4, "capture_share": 0, "capture_unblurred": True}


def scene(seed: int) -> bytes:
    """A picture with one square, elsewhere for each seed."""
    return encode(picture({(seed % 8, seed // 8 % 8): "12345"[seed % 5]}))


@pytest.fixture
def mlflow(tmp_path: Path) -> FakeMlflow:
    mlflow = FakeMlflow()
    mlflow.register(build_package(tmp_path / "one", sharpness=UNSURE), aliases=["champion"])
    return mlflow


@pytest.fixture
def store(mlflow: FakeMlflow) -> ReviewStore:
    transport = mlflow.transport()
    return ReviewStore(MonitoringExperiments("http://mlflow", attempts=1, transport=transport, prefix=REVIEW_PREFIX))


async def ask(client: httpx.AsyncClient, data: bytes, query: str = "") -> dict[str, Any]:
    response = await client.post(f"/predict{query}", content=data, headers=HEADERS)
    assert response.status_code == 200, response.text
    return dict(response.json())


def spooled(folder: Path) -> list[Path]:
    return [path for path in (folder / "home" / "review").rglob("*") if path.suffix in {".jpg", ".json"}]


async def until_open(folder: Path) -> None:
    async with asyncio.timeout(30):
        while not [path for path in (folder / "home" / "review").glob("*") if path.name != ".replicas"]:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)


@pytest.mark.anyio
async def test_nothing_is_kept_unless_somebody_says_so(tmp_path: Path, mlflow: FakeMlflow, store: ReviewStore) -> None:
    async with running(make_app(tmp_path, mlflow)) as client:
        answer = await ask(client, scene(1))
        assert "kept_for_review" not in answer
        assert (await client.get("/models")).json()["capture"] == "off"
        assert (await client.get("/health/ready")).json()["capture"] == "off"
        assert "handful_captured" not in (await client.get("/metrics")).text
    assert not (tmp_path / "home" / "review").exists()
    assert store.models() == []


@pytest.mark.anyio
async def test_an_unsure_picture_is_kept_with_its_answer_and_the_answer_says_so(
    tmp_path: Path, mlflow: FakeMlflow, store: ReviewStore
) -> None:
    async with running(make_app(tmp_path, mlflow, **CAPTURE)) as client:
        await until_open(tmp_path)
        answer = await ask(client, scene(9), "?source=camera-1")
        assert answer["kept_for_review"] is True
        assert (await client.get("/models")).json()["capture"] == "unsure"
        assert (await client.get("/health/ready")).json()["capture"] == "unsure"
        assert 'handful_captured_pictures_total{reason="unsure"} 1.0' in (await client.get("/metrics")).text
    (kept,) = store.pictures("fingers")
    assert (kept.version, kept.source, kept.task, kept.reason) == ("1", "camera-1", "detect", "unsure")
    assert kept.score == pytest.approx(2 - 2 * sure(UNSURE), abs=0.01)
    (found,) = kept.objects
    (told,) = answer["detections"]
    assert (found.name, found.box) == (told["name"], pytest.approx(told["box"], abs=0.1))
    assert found.box == pytest.approx(square_box(1, 1), abs=0.1)
    assert kept.profile["detections"] == 1
    assert kept.profile["format"] == "PNG"
    assert len(kept.package) == 64
    pixels = cv2.imdecode(np.frombuffer(store.image(kept.id), np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    assert pixels.shape[:2] == (kept.height, kept.width)
    assert float(np.abs(pixels.astype(int) - picture({(1, 1): "5"})).mean()) < 3
    assert spooled(tmp_path) == [next((tmp_path / "home" / "review").glob("*/.kept.json"))], "MLflow has it"


@pytest.mark.anyio
async def test_twenty_frames_of_one_scene_are_one(tmp_path: Path, mlflow: FakeMlflow, store: ReviewStore) -> None:
    random = np.random.default_rng(0)
    frames = []
    for _ in range(20):
        pixels = picture({(3, 3): "5"}).astype(int) + random.integers(-3, 4, (*picture({}).shape,))
        frames.append(encode(np.clip(pixels, 0, 255).astype(np.uint8)))
    async with running(make_app(tmp_path, mlflow, **CAPTURE)) as client:
        await until_open(tmp_path)
        kept = [(await ask(client, frame))["kept_for_review"] for frame in frames]
        assert kept == [True] + [False] * 19
        assert (await ask(client, scene(40)))["kept_for_review"] is True
    assert len(store.pictures("fingers")) == 2


@pytest.mark.anyio
async def test_a_sure_answer_is_kept_by_chance_alone(tmp_path: Path, store: ReviewStore, mlflow: FakeMlflow) -> None:
    settings = CAPTURE | {"capture_threshold": 0.9, "capture_share": 1}
    async with running(make_app(tmp_path, mlflow, **settings)) as client:
        await until_open(tmp_path)
        assert [(await ask(client, scene(2)))["kept_for_review"] for _ in range(3)] == [True] * 3
    assert [each.reason for each in store.pictures("fingers")] == ["random"] * 3
    async with running(make_app(tmp_path, mlflow, **settings | {"capture_share": 0})) as client:
        await until_open(tmp_path)
        assert (await ask(client, scene(2)))["kept_for_review"] is False


@pytest.mark.anyio
async def test_the_share_is_about_what_was_asked_for(tmp_path: Path, mlflow: FakeMlflow) -> None:
    settings = CAPTURE | {"capture": "share", "capture_share": 0.2, "capture_daily": 1000}
    async with running(make_app(tmp_path, mlflow, **settings)) as client:
        await until_open(tmp_path)
        kept = [(await ask(client, scene(3)))["kept_for_review"] for _ in range(200)]
    assert 20 <= sum(kept) <= 65


@pytest.mark.anyio
async def test_all_of_a_source_and_nothing_of_others(tmp_path: Path, mlflow: FakeMlflow, store: ReviewStore) -> None:
    settings = {"capture": "all-of-source", "capture_sources": ("camera-1",), "capture_unblurred": True}
    async with running(make_app(tmp_path, mlflow, **settings)) as client:
        await until_open(tmp_path)
        assert [(await ask(client, scene(2), "?source=camera-1"))["kept_for_review"] for _ in range(2)] == [True] * 2
        assert [(await ask(client, scene(2), query))["kept_for_review"] for query in ("", "?source=camera-2")] == [
            False
        ] * 2
    assert [(each.reason, each.source) for each in store.pictures("fingers")] == [("all", "camera-1")] * 2


@pytest.mark.anyio
async def test_the_days_limit_holds_over_a_restart(tmp_path: Path, mlflow: FakeMlflow, store: ReviewStore) -> None:
    settings = CAPTURE | {"capture_share": 1, "capture_daily": 3}
    for expected in ([True, True], [True, False, False], [False]):
        async with running(make_app(tmp_path, mlflow, **settings)) as client:
            await until_open(tmp_path)
            assert [(await ask(client, scene(n)))["kept_for_review"] for n in range(len(expected))] == expected
    assert len(store.pictures("fingers")) == 3


@pytest.mark.anyio
async def test_a_full_disk_keeps_nothing_and_says_so(
    tmp_path: Path, mlflow: FakeMlflow, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    async with running(make_app(tmp_path, mlflow, **CAPTURE)) as client:
        await until_open(tmp_path)
        monkeypatch.setattr(PictureSpool, "add", refuse)
        await ask(client, scene(1))
        async with asyncio.timeout(20):
            while "No space left" not in caplog.text:
                await asyncio.sleep(0.01)
        assert (await ask(client, scene(30)))["kept_for_review"] is False
        assert "handful_captured_pictures_lost_total 1.0" in (await client.get("/metrics")).text


async def metric(client: httpx.AsyncClient, name: str) -> float:
    text = (await client.get("/metrics")).text
    return float(next(line for line in text.splitlines() if line.startswith(name)).rpartition(" ")[2])


@pytest.mark.anyio
@pytest.mark.parametrize("fault", [RuntimeError("a fault of ours"), cv2.error("a codec's")])
async def test_a_fault_costs_one_picture_which_is_counted_and_logged(
    tmp_path: Path,
    mlflow: FakeMlflow,
    store: ReviewStore,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fault: Exception,
) -> None:
    describe, asked = capture._picture, []

    def stumble(kept: Any) -> Any:
        asked.append(kept)
        if len(asked) == 1:
            raise fault
        return describe(kept)

    monkeypatch.setattr(capture, "_picture", stumble)
    monkeypatch.setattr(capture, "_TROUBLE_SECONDS", 0.0)
    async with running(make_app(tmp_path, mlflow, **CAPTURE)) as client:
        await until_open(tmp_path)
        assert (await ask(client, scene(9)))["kept_for_review"] is True
        async with asyncio.timeout(30):
            while not await metric(client, "handful_captured_pictures_lost_total"):
                await asyncio.sleep(0.01)
        assert str(fault) in caplog.text
        assert (await ask(client, scene(36)))["kept_for_review"] is True, "the next one is kept"
    assert len(store.pictures("fingers")) == 1


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("fault", "level"),
    [(RuntimeError("a fault of ours"), "ERROR"), (PermissionError("not yours"), "WARNING"),
     (UnavailableError("away"), "INFO")],
)  # fmt: skip
async def test_a_delivery_that_fails_is_counted_and_logged_and_tried_again(
    tmp_path: Path,
    mlflow: FakeMlflow,
    store: ReviewStore,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fault: Exception,
    level: str,
) -> None:
    add, asked = ReviewStore.add, []

    def stumble(*arguments: Any) -> bool:
        asked.append(arguments)
        if len(asked) == 1:
            raise fault
        return add(*arguments)

    monkeypatch.setattr(ReviewStore, "add", stumble)
    caplog.set_level("INFO")
    async with running(make_app(tmp_path, mlflow, **CAPTURE)) as client:
        await until_open(tmp_path)
        assert (await ask(client, scene(9)))["kept_for_review"] is True
        async with asyncio.timeout(30):
            while not await metric(client, "handful_captured_pictures_delivery_failures_total"):
                await asyncio.sleep(0.01)
        assert [r.levelname for r in caplog.records if str(fault) in caplog.handler.format(r)] == [level]
    (kept,) = store.pictures("fingers")
    assert asked[-1][1] == kept


def test_a_picture_that_cannot_be_read_holds_up_no_other(
    tmp_path: Path, store: ReviewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, pictures = PictureSpool(tmp_path, "one"), [draw_picture() for _ in range(3)]
    for each in pictures:
        spool.add(each, b"jpeg")
    waiting = spool.waiting()
    (tmp_path / "one" / f"{waiting[2].record.stem}.json").write_text("{")
    read = WaitingPicture.read

    def refuse(each: WaitingPicture) -> Any:
        if each == waiting[0]:
            raise PermissionError(13, "Permission denied")
        return read(each)

    monkeypatch.setattr(WaitingPicture, "read", refuse)
    courier = Courier(store, TrustedDay(MonitoringExperiments("http://mlflow")), 0)
    with pytest.raises(PermissionError):
        courier.deliver(waiting)
    assert [each.record.stem for each in spool.waiting()] == [waiting[0].record.stem]
    assert (courier.delivered, courier.damaged) == (1, 1)
    assert [each.id for each in store.pictures("fingers")] == [waiting[1].record.stem]


@pytest.mark.anyio
async def test_while_mlflow_is_away_pictures_wait_within_their_megabytes(
    tmp_path: Path, mlflow: FakeMlflow, store: ReviewStore
) -> None:
    settings = CAPTURE | {"capture_share": 1, "capture_megabytes": 1}
    async with running(make_app(tmp_path, mlflow, **settings)) as client:
        await until_open(tmp_path)
        mlflow.away = True
        answers = [(await ask(client, scene(n)))["kept_for_review"] for n in range(2)]
    assert answers[0] is True
    waiting = [path for path in spooled(tmp_path) if path.suffix == ".jpg"]
    assert len(waiting) == sum(answers)
    if sys.platform != "win32":
        assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in waiting)
        assert stat.S_IMODE((tmp_path / "home" / "review").stat().st_mode) == 0o700
    mlflow.away = False
    async with running(make_app(tmp_path, mlflow, **settings)):
        await until_open(tmp_path)
    assert len(store.pictures("fingers")) == sum(answers)
    assert [path.name for path in spooled(tmp_path)] == [".kept.json"]


@pytest.mark.anyio
async def test_what_was_deleted_while_it_waited_goes_from_the_disk_too(
    tmp_path: Path, mlflow: FakeMlflow, store: ReviewStore
) -> None:
    async with running(make_app(tmp_path, mlflow, **CAPTURE)) as client:
        await until_open(tmp_path)
        store.add(draw_picture(at=NOON), b"jpeg")
        mlflow.away = True
        assert (await ask(client, scene(9)))["kept_for_review"] is True
    mlflow.away = False
    (record,) = [path for path in spooled(tmp_path) if path.name != ".kept.json" and path.suffix == ".json"]
    store.delete_all("fingers")
    async with running(make_app(tmp_path, mlflow, **CAPTURE)):
        await until_open(tmp_path)
    assert store.pictures("fingers") == []
    assert [path.name for path in spooled(tmp_path)] == [".kept.json"]
    assert record.stem not in str(sorted(mlflow._files))


@pytest.mark.anyio
async def test_what_a_challenger_answers_otherwise_is_kept(
    tmp_path: Path, mlflow: FakeMlflow, store: ReviewStore
) -> None:
    mlflow.register(build_package(tmp_path / "sure"), aliases=["champion"])
    mlflow.register(build_package(tmp_path / "dull", sharpness=3.0), aliases=["challenger"])
    settings = CAPTURE | {"capture_threshold": 1, "shadow_share": 1}
    async with running(make_app(tmp_path, mlflow, **settings)) as client:
        await until_open(tmp_path)
        async with asyncio.timeout(30):
            while (answer := await ask(client, scene(17), "?confidence=0.9"))["kept_for_review"] != "undecided":
                await asyncio.sleep(0.05)
            while 'outcome="differ"' not in (await client.get("/metrics")).text:
                await asyncio.sleep(0.05)
    assert answer["version"] == 2
    (kept,) = store.pictures("fingers")
    assert (kept.reason, kept.version) == ("disagreement", "2")
    assert [each.name for each in kept.objects] == ["3"]


@pytest.mark.anyio
async def test_faces_are_blurred_in_what_is_kept(tmp_path: Path, mlflow: FakeMlflow, store: ReviewStore) -> None:
    portrait = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    settings = {"capture": "share", "capture_share": 1, "face_blur": "haar"}
    async with running(make_app(tmp_path, mlflow, **settings)) as client:
        await until_open(tmp_path)
        answer = await ask(client, portrait.read_bytes())
        assert answer["faces"] == 1
        assert answer["kept_for_review"] is True
    (kept,) = store.pictures("fingers")
    saved = cv2.imdecode(np.frombuffer(store.image(kept.id), np.uint8), cv2.IMREAD_GRAYSCALE)
    original = cv2.imread(str(portrait), cv2.IMREAD_GRAYSCALE)
    assert saved is not None
    assert original is not None
    sharp, blurred = (cv2.resize(image, (512, 600))[120:260, 190:320] for image in (original, saved))
    assert cv2.Laplacian(blurred, cv2.CV_64F).std() < 0.5 * cv2.Laplacian(sharp, cv2.CV_64F).std()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"capture": "unsure"}, "FACE_BLUR=centerface"),
        ({"capture": "all-of-source", "capture_unblurred": True}, "HANDFUL_SERVING_CAPTURE_SOURCES"),
    ],
)
def test_settings_that_keep_too_much_are_refused(
    tmp_path: Path, mlflow: FakeMlflow, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        make_app(tmp_path, mlflow, **settings)


# How unsure


def detections(*scores: float, classes: tuple[int, ...] = (), apart: bool = True) -> Prediction:
    count = len(scores)
    boxes = np.float32([[i * 50.0 * apart, 0, i * 50.0 * apart + 40, 40] for i in range(count)]).reshape(-1, 4)
    return Prediction(Detections(boxes, np.float32(scores), np.int64(classes or range(count))))


@pytest.mark.parametrize(
    ("prediction", "expected"),
    [
        (detections(), 0),
        (detections(0.99), 0.02),
        (detections(0.99, 0.5), 1),
        (detections(0.3), 0.6),
        (detections(0.9, 0.85, apart=False), 0.95),
        (detections(0.9, 0.85), 0.3),
        (detections(0.9, 0.85, classes=(1, 1), apart=False), 0.3),
    ],
)
def test_how_unsure_a_detector_is(tmp_path: Path, prediction: Prediction, expected: float) -> None:
    manifest = build_package(tmp_path / "p").manifest
    assert uncertainty(prediction, manifest) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("probabilities", "classes", "expected"),
    [
        ((1.0, 0, 0), None, 0),
        ((0.5, 0.5, 0), None, 1),
        ((0.8, 0.2, 0), (0,), 0.4555),
        ((0.98, 0.02, 0), (0, 1), 0.75),
        ((0.98, 0.01, 0.01), (), 1),
    ],
)
def test_how_unsure_a_classifier_is(
    tmp_path: Path, probabilities: tuple[float, ...], classes: tuple[int, ...] | None, expected: float
) -> None:
    manifest = build_package(tmp_path / "p", "logits", name="leaves", limits=True).manifest
    found = uncertainty(Prediction(probabilities=np.float32(probabilities), prediction_set=classes), manifest)
    assert found == pytest.approx(expected, abs=1e-3)
    assert manifest.out_of_distribution is not None
    far = Prediction(probabilities=np.float32([1, 0, 0]), distance=1.4 * manifest.out_of_distribution.distance)
    assert uncertainty(far, manifest) == pytest.approx(0.7)


def test_scenes_fill_the_day_with_what_is_farther_and_farther_apart() -> None:
    random = np.random.default_rng(0)
    centre = random.normal(size=768)
    vectors = [centre + 0.9 * random.normal(size=768) for _ in range(200)]
    rows = [np.asarray(v / np.linalg.norm(v), np.float32) for v in vectors]
    scenes, kept = Scenes(10, NEW_SCENE), 0
    for row in rows:
        if scenes.is_new(row):
            scenes.keep(row)
            kept += 1
    assert 5 <= kept < 10
    assert not scenes.is_new(rows[0])


def test_k_centre_covers_all_clusters() -> None:
    random = np.random.default_rng(1)
    centres = random.normal(size=(4, 32))
    rows = [c + 0.05 * random.normal(size=32) for c in centres for _ in range(25)]
    chosen = k_centre([np.asarray(r / np.linalg.norm(r), np.float32) for r in rows], 4)
    assert sorted(place // 25 for place in chosen) == [0, 1, 2, 3]
    assert k_centre([], 3) == []


def test_a_moved_picture_is_the_same_scene() -> None:
    random = np.random.default_rng(2)
    pixels = cv2.GaussianBlur(random.integers(0, 255, (360, 480, 3)).astype(np.uint8), (0, 0), 25)
    pixels = np.asarray(cv2.normalize(pixels, np.zeros_like(pixels), 0, 255, cv2.NORM_MINMAX), np.uint8)
    moved = np.roll(pixels, (2, 4), axis=(0, 1))
    assert 1 - float(scene_vector(pixels) @ scene_vector(moved)) < NEW_SCENE


def test_a_killed_servers_pictures_are_adopted(tmp_path: Path) -> None:
    first = PictureSpool(tmp_path, "one")
    kept = draw_picture()
    first.add(kept, b"jpeg")
    other = PictureSpool(tmp_path, "two")
    with other.orphans() as found:
        assert found == [], "the first still runs"
    first.close()
    with other.orphans() as found:
        (waiting,) = found
        assert waiting.read() == (kept, b"jpeg")
        waiting.remove()
    assert list((tmp_path / "one").glob("*")) == []
    half = tmp_path / "one" / f"{kept.id}.jpg"
    half.write_bytes(b"half")
    PictureSpool(tmp_path, "one").close()
    assert not half.exists()


def test_a_days_count_is_of_that_day(tmp_path: Path) -> None:
    spool = PictureSpool(tmp_path, "one")
    spool.count("2026-11-29", {"fingers": 4})
    assert spool.kept("2026-11-29") == {"fingers": 4}
    assert spool.kept("2026-11-30") == {}
    (tmp_path / "one" / ".kept.json").write_text(json.dumps([date.max.isoformat()]))
    assert spool.kept("2026-11-29") == {}
