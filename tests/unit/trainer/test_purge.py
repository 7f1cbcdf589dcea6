"""`handful data purge`: a deleted picture leaves the datasets that were prepared with it, and nothing else does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from fakes.packages import build_package
from fakes.registry import FakeMlflow
from handful_core.errors import DataError, ResourceError, UnavailableError
from handful_core.review import CapturedPicture, ReviewStore
from handful_core.runtime.model import load_model
from handful_core.vision.decode import decode_image
from handful_trainer.dataset.preparation.prepare import prepare
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import captured_id, captured_picture
from handful_trainer.packaging.golden import golden_images, write_golden
from handful_trainer.pipeline.purge import Purged, purge
from handful_trainer.pipeline.run_folder import RunFolder, RunState
from support.captured import draw_jpeg, draw_picture, draw_review, review_store

REVIEWED = {"source": "reviewed", "model": "fingers", "test": True, "classes": ["4"]}


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> FakeMlflow:
    mlflow = FakeMlflow()
    monkeypatch.setattr(ReviewStore, "at", lambda _: review_store(mlflow))
    return mlflow


@pytest.fixture
def store(mlflow: FakeMlflow) -> ReviewStore:
    return review_store(mlflow)


def captured(store: ReviewStore, number: int) -> CapturedPicture:
    jpeg = draw_jpeg(number)
    picture = draw_picture(jpeg=jpeg, id=f"{number + 1:032x}")
    store.add(picture, jpeg)
    store.write(draw_review(picture))
    return picture


def prepared(home: Path, output: Path | None = None, **changes: object) -> PreparedDataset:
    return prepare(DatasetConfig.model_validate(REVIEWED | changes), home, output)


def delete_one(store: ReviewStore, dataset: PreparedDataset) -> CapturedPicture:
    """Delete a training picture: the other splits have few."""
    picture = store.picture(captured_picture(dataset.images("train")[0].name))
    store.delete(picture.id)
    return picture


def names(home: Path, picture: CapturedPicture) -> list[str]:
    """Files of a picture, by name or content."""
    jpeg = draw_jpeg(int(picture.id, 16) - 1)
    files = [path for path in home.rglob("*") if path.is_file()]
    return [str(path) for path in files if picture.id in path.name or jpeg == path.read_bytes()]


def test_datasets_with_a_deleted_picture_go_and_others_stay(store: ReviewStore, tmp_path: Path) -> None:
    home = tmp_path / "home"
    for number in range(12):
        captured(store, number)
    before, outside = prepared(home), prepared(home, tmp_path / "outside")
    assert purge(store, home) == Purged((), 0, 0, removed=True)
    assert before.is_whole()

    gone = delete_one(store, before)
    assert len(names(tmp_path, gone)) == 5, "fetched, and twice an image with its label"
    later = prepared(home)
    assert len(names(tmp_path, gone)) == 4
    assert names(later.root, gone) == []
    found = purge(store, home, [outside.root], dry_run=True)
    assert [(each.folder, each.pictures, each.in_use) for each in found.datasets] == [
        (before.root.resolve(), 1, False), (outside.root.resolve(), 1, False),
    ]  # fmt: skip
    assert "would remove" in str(found)
    assert before.is_whole()
    assert outside.is_whole()
    assert purge(store, home).datasets == found.datasets[:1], "only what is named outside of the home"
    assert purge(store, home, [outside.root]).datasets == found.datasets[1:]
    assert not before.root.exists()
    assert not outside.root.exists()
    assert later.is_whole()
    assert names(tmp_path, gone) == []


def test_fetched_files_of_a_deleted_picture_go(store: ReviewStore, tmp_path: Path) -> None:
    for number in range(12):
        captured(store, number)
    gone = delete_one(store, prepared(tmp_path))
    assert purge(store, tmp_path).files == 1
    assert names(tmp_path, gone) == []
    assert gone.id not in (tmp_path / "raw" / "fingers-reviewed" / "reviewed.json").read_text()
    assert prepared(tmp_path).is_whole()


def test_after_all_were_deleted_all_copies_go(store: ReviewStore, tmp_path: Path) -> None:
    pictures = [captured(store, number) for number in range(6)]
    dataset = prepared(tmp_path)
    store.delete_all("fingers")
    assert len(purge(store, tmp_path).datasets) == 1
    assert not dataset.root.exists()
    assert not [name for picture in pictures for name in names(tmp_path, picture)]


def test_a_mark_outlives_the_pictures_of_its_day(store: ReviewStore, tmp_path: Path) -> None:
    pictures = [captured(store, number) for number in range(6)]
    dataset = prepared(tmp_path)
    for each in pictures:
        store.delete(each.id)
    assert store.delete_before("fingers", "2027-01-01") == 0
    assert purge(store, tmp_path).datasets[0].pictures == 6
    assert not dataset.root.exists()


def test_another_mlflow_takes_nothing_away(store: ReviewStore, mlflow: FakeMlflow, tmp_path: Path) -> None:
    for number in range(6):
        captured(store, number)
    dataset = prepared(tmp_path)
    other = review_store(FakeMlflow())
    other.add(draw_picture(), b"jpeg")
    found = purge(other, tmp_path)
    assert (found.datasets, found.files, found.unknown) == ((), 0, 6)
    assert "is it the right one?" in str(found)
    mlflow.away = True
    with pytest.raises(UnavailableError):
        purge(store, tmp_path)
    assert dataset.is_whole()


def test_a_dataset_stays_while_a_training_uses_it(store: ReviewStore, tmp_path: Path) -> None:
    pictures = [captured(store, number) for number in range(6)]
    dataset = prepared(tmp_path)
    run = RunFolder(tmp_path / "runs" / "one")
    (run.path / "yolo").mkdir(parents=True)
    sheet = run.path / "yolo" / "train_batch0.jpg"
    sheet.write_bytes(b"sheet")
    run.save(RunState(run_id="1", dataset=dataset.root))
    store.delete(pictures[0].id)
    with FileLock(run.path / "lock"):
        found = purge(store, tmp_path)
        assert [each.in_use for each in found.datasets] == [True]
        assert "a training uses it" in str(found)
        assert dataset.is_whole()
    purge(store, tmp_path)
    assert not dataset.root.exists()
    assert not sheet.exists()


def test_what_handful_did_not_prepare_is_refused(store: ReviewStore, tmp_path: Path) -> None:
    (tmp_path / "assets.jsonl").write_text(json.dumps({"id": captured_id("0" * 32), "image": "a.jpg"}))
    with pytest.raises(DataError, match="was not prepared by Handful"):
        purge(store, tmp_path / "home", [tmp_path])
    assert (tmp_path / "assets.jsonl").exists()


def test_what_cannot_be_removed_is_said_and_found_again(
    store: ReviewStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = [captured(store, number) for number in range(6)]
    dataset = prepared(tmp_path)
    store.delete(pictures[0].id)

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", refuse)
        with pytest.raises(ResourceError, match="cannot be removed"):
            purge(store, tmp_path)
    assert len(purge(store, tmp_path).datasets) == 1
    assert not dataset.root.exists()


def test_what_lasts_shows_no_captured_picture(store: ReviewStore, tmp_path: Path) -> None:
    for number in range(12):
        captured(store, number)
    dataset = prepared(tmp_path)
    page = (dataset.root / "report.html").read_text()
    assert "data:image/jpeg" not in page
    assert "a captured picture, which is not shown here" in page
    assert dataset.has_captured
    assert dataset.images("train")
    assert golden_images(dataset) == [], "a pattern is drawn instead"


def test_without_an_image_that_may_travel_the_golden_one_is_drawn(tmp_path: Path) -> None:
    package = build_package(tmp_path / "package")
    model = load_model(package)
    golden = write_golden(model, [], tmp_path)
    pixels = decode_image((tmp_path / golden.image).read_bytes())
    assert pixels.shape == (package.manifest.input.height, package.manifest.input.width, 3)
    assert pixels.std() > 20
    assert len(model.predict(pixels, golden.confidence).detections) == len(golden.detections or ())


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (captured_id("0a" * 16), "0a" * 16),
        (f"{captured_id('0a' * 16)}.jpg", "0a" * 16),
        (f"{captured_id('0a' * 16)}-2.png", "0a" * 16),
        (f"rust_{captured_id('0a' * 16)}.jpg", "0a" * 16),
        (f"un{captured_id('0a' * 16)}.jpg", ""),
        ("reviewed-12.jpg", ""),
        (f"reviewed-{'0a' * 17}.jpg", ""),
    ],
)
def test_a_captured_picture_is_known_by_its_name(name: str, found: str) -> None:
    assert captured_picture(name) == found
