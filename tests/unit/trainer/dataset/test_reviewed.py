"""Reviewed pictures beside other sources: what is read, in which split it is, and that no test image is learnt."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.registry import FakeMlflow
from handful_core.errors import ConfigError, DataError
from handful_core.registry.monitoring import REVIEW_PREFIX, MonitoringExperiments
from handful_core.review import Annotation, CapturedPicture, ReviewedObject, ReviewStore
from handful_trainer.config.adding import with_source
from handful_trainer.dataset.inspection.facts import ImageFacts
from handful_trainer.dataset.preparation.assets import CORRECTION, Asset, why_left_out, with_corrections
from handful_trainer.dataset.preparation.prepare import prepare
from handful_trainer.dataset.settings import DatasetConfig, SourceConfig
from handful_trainer.dataset.sources.base import ACCEPTED, RawItem, SplitName
from handful_trainer.dataset.sources.registry import open_source
from handful_trainer.dataset.sources.reviewed import dataset_source
from handful_trainer.dataset.splitting.assign import Placed, assign_splits
from handful_trainer.tasks.detection.labels import Box, CleanBoxes
from support.captured import BOX, draw_jpeg, draw_picture, draw_review

FAR = 0x0F0F_0F0F_0F0F_0F0F


def asset(number: int, *, phash: int = -1, held: bool = False, own: SplitName | None = None) -> Asset:
    item = RawItem(f"{number:04d}", None, f"{number}.jpg", ACCEPTED, split=own, reviewed=held, kept_from_test=held)
    return Asset(item, ImageFacts(sha256=f"{number:064x}", phash=phash), CleanBoxes((Box(0, 1, 1, 9, 9),)))


def config(**changes: Any) -> DatasetConfig:
    return DatasetConfig.model_validate({"source": "sample", **changes})


def test_reviewed_pictures_are_never_test_images_and_move_nothing() -> None:
    base = [asset(number) for number in range(60)]
    held = [asset(100 + number, held=True) for number in range(40)]
    before = {a.item.id: a.split for a in assign_splits(base, config())}
    after = {a.item.id: a.split for a in assign_splits([*held, *base], config())}
    assert {name: after[name] for name in before} == before
    of_reviewed = [after[a.item.id] for a in held]
    assert set(of_reviewed) == {"train", "val"}
    assert of_reviewed.count("val") == pytest.approx(40 / 9, abs=1)


def test_what_is_alike_to_a_test_image_is_left_out_whoever_split_it() -> None:
    base = [asset(number, own="train") for number in range(20)] + [
        asset(50, phash=FAR, own="test"),
        asset(51, phash=0, own="val"),
    ]
    held = [asset(100, phash=FAR ^ 3, held=True), asset(101, phash=1, held=True), asset(102, held=True)]
    found = {a.item.id: a for a in assign_splits([*base, *held], config())}
    assert (found["0100"].outcome, found["0100"].alike, found["0100"].split) == ("alike", "0050", None)
    assert found["0101"].split == "val"
    assert found["0102"].split in {"train", "val"}


def test_what_was_a_test_image_before_is_left_out() -> None:
    earlier = {f"{100:064x}": Placed("test"), f"{200:064x}": Placed("test", FAR), f"{102:064x}": Placed("val")}
    held = [asset(100, held=True), asset(101, phash=FAR ^ 1, held=True), asset(102, held=True)]
    found = {a.item.id: a for a in assign_splits([*map(asset, range(30)), *held], config(), earlier)}
    assert [found[name].outcome for name in ("0100", "0101", "0102")] == ["alike", "alike", "usable"]
    assert found["0102"].split == "val"


def test_reviewed_pictures_alone_have_no_test() -> None:
    with pytest.raises(DataError, match=r"all 5 images are reviewed ones.*sources"):
        assign_splits([asset(number, held=True) for number in range(5)], config())


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 15), st.booleans()), min_size=8, max_size=40))
def test_no_reviewed_picture_is_alike_to_a_test_image(drawn: list[tuple[int, bool]]) -> None:
    # Hashes of two to five bits apart and more: some belong together, some do not.
    assets = [asset(n, phash=(1 << (4 * kind)) - 1, held=held) for n, (kind, held) in enumerate(drawn)]
    assets += [asset(100 + number) for number in range(6)]
    found = assign_splits(assets, config())
    test = [a for a in found if a.split == "test"]
    for one in found:
        if one.item.kept_from_test and one.split:
            assert one.split != "test"
            assert all(min(one.facts.phash, t.facts.phash) < 0
                       or (one.facts.phash ^ t.facts.phash).bit_count() > 4 for t in test)  # fmt: skip
    assert [a.item.id for a in found] == [a.item.id for a in assets]


def test_a_correction_goes_to_the_image_and_the_picture_is_not_used_besides() -> None:
    wrong = asset(1)
    review = asset(2, held=True)
    review = review._replace(item=review.item._replace(corrects=f"{1:064x}"), labels=CleanBoxes((Box(3, 2, 2, 8, 8),)))
    first, second = with_corrections([wrong, review])
    assert (first.kept, first.item.reviewed, first.outcome) == (review.kept, True, "usable")
    assert (second.outcome, why_left_out(second)) == ("not_accepted", CORRECTION)
    other_size = review._replace(facts=ImageFacts(sha256="2" * 64, width=7, height=7))
    assert with_corrections([wrong, other_size]) == [wrong, other_size], "its boxes would lie elsewhere"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[ReviewStore]:
    """The one that the source opens."""
    mlflow = FakeMlflow()

    def at(uri: str) -> ReviewStore:
        transport = mlflow.transport()
        return ReviewStore(
            MonitoringExperiments("http://mlflow", attempts=1, transport=transport, prefix=REVIEW_PREFIX)
        )

    monkeypatch.setattr(ReviewStore, "at", at)
    with at("") as opened:
        yield opened


def captured(store: ReviewStore, number: int, status: str = "corrected", **changes: Any) -> CapturedPicture:
    """A picture in the store, reviewed unless the status is empty."""
    jpeg = draw_jpeg(number)
    picture = draw_picture(jpeg=jpeg, id=f"{number:032x}", **changes)
    store.add(picture, jpeg)
    if status:
        store.write(draw_review(picture, status=status))
    return picture


def test_accepted_and_corrected_pictures_are_read_and_all_are_accounted_for(store: ReviewStore, tmp_path: Path) -> None:
    captured(store, 1)
    captured(store, 2, "accepted")
    captured(store, 3, "not usable")
    captured(store, 4, "")
    raw = open_source(DatasetConfig(source="reviewed", model="fingers"), tmp_path).read()
    assert [item.name for item in raw.items] == [f"{1:032x}.jpg", f"{2:032x}.jpg"]
    item = raw.items[0]
    assert item.path is not None
    assert item.path.read_bytes() == draw_jpeg(1)
    assert (item.boxes[0].label, item.boxes[0].x, item.boxes[0].width) == ("4", BOX[0], BOX[2] - BOX[0])
    assert (item.kept_from_test, item.reviewed, raw.made_for) == (True, True, "detect")
    (account,) = raw.accounts
    assert (account.found, account.used) == (4, 2)
    assert {reason: entry.number for reason, entry in account.left_out.items()} == {
        "not usable": 1, "not reviewed yet": 1,
    }  # fmt: skip


def test_a_deleted_picture_is_deleted_here_too(store: ReviewStore, tmp_path: Path) -> None:
    first, _ = captured(store, 1), captured(store, 2)
    reviewed = DatasetConfig(source="reviewed", model="fingers", test=True)
    before = open_source(reviewed, tmp_path)
    assert len(before.read().items) == 2
    assert not before.read().items[0].kept_from_test
    store.delete(first.id)
    assert [item.name for item in open_source(reviewed, tmp_path).read().items] == [f"{2:032x}.jpg"]
    assert not [path for path in tmp_path.rglob("*") if first.id in path.name]
    assert first.id not in next(tmp_path.rglob("reviewed.json")).read_text()


def test_a_model_without_reviews_is_refused(store: ReviewStore, tmp_path: Path) -> None:
    captured(store, 1, "")
    with pytest.raises(DataError, match="none of the 1 captured pictures of the model fingers"):
        open_source(DatasetConfig(source="reviewed", model="fingers"), tmp_path).roots()


def test_several_sources_become_one_dataset(store: ReviewStore, tmp_path: Path) -> None:
    for number in range(6):
        captured(store, number)
    wrong = _folder(tmp_path / "yolo", range(100, 130))
    corrected = captured(store, 50, source=dataset_source(wrong), width=320, height=240, at=draw_picture().at)
    changed = Annotation((ReviewedObject("5", (10, 10, 90, 90)),))
    store.write(draw_review(corrected, revision=2, annotation=changed))
    sources = [{"source": "yolo", "path": str(tmp_path / "yolo")}, {"source": "reviewed", "model": "fingers"}]
    settings_ = DatasetConfig.model_validate({"sources": sources, "classes": ["3", "4", "5"]})
    dataset = prepare(settings_, tmp_path / "home")
    assert (dataset.name, dataset.report["source"], dataset.reviewed) == ("yolo", "several", 7)
    assert dataset.report["reviewed"]["test"] in {0, 1}, "the corrected one alone may be a test image"
    lines = [json.loads(line) for line in (dataset.root / "assets.jsonl").read_text().splitlines()]
    assert sum("reviewed-" in line["id"] and bool(line["image"]) for line in lines) == 6
    fixed = next(line for line in lines if line["sha256"] == wrong)
    label = dataset.root / "labels" / Path(fixed["image"]).relative_to("images").with_suffix(".txt")
    assert label.read_text().startswith("2 "), "class 5"
    shown = [path for split in ("train", "val") for path in dataset.publishable(split)]
    held = [path for split in ("train", "val") for path in dataset.images(split) if "reviewed-" in path.name]
    assert len(held) == 6
    assert not {*shown} & {*held}, "golden images are none that somebody may delete"
    assert prepare(settings_, tmp_path / "home").root == dataset.root
    store.write(draw_review(captured(store, 60, ""), status="accepted"))
    assert prepare(settings_, tmp_path / "home").fingerprint != dataset.fingerprint


def _folder(root: Path, numbers: range) -> str:
    """A YOLO dataset; the sha256 of one of its images."""
    from hashlib import sha256

    (root / "images").mkdir(parents=True)
    (root / "labels").mkdir()
    (root / "data.yaml").write_text("names: ['3', '4', '5']\ntrain: images\n")
    for number in numbers:
        (root / "images" / f"{number}.jpg").write_bytes(draw_jpeg(number))
        (root / "labels" / f"{number}.txt").write_text(f"{number % 2} 0.5 0.5 0.2 0.2\n")
    return sha256(draw_jpeg(numbers[0])).hexdigest()


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"sources": [{"source": "reviewed"}]}, "needs a model"),
        ({"source": "yolo", "path": "a", "sources": [{"source": "yolo", "path": "a"}]}, "either source or sources"),
        ({"source": "several"}, "lists none"),
        ({"sources": [{"source": "several"}]}, "Input should be"),
        ({"path": "a", "sources": [{"source": "yolo", "path": "a"}]}, "belong to one of the sources"),
        ({"source": "yolo", "path": "a", "test": True}, "source reviewed only"),
    ],
)
def test_sources_that_contradict_each_other_are_refused(wrong: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        DatasetConfig.model_validate(wrong)


def test_adding_a_source_keeps_the_name_and_is_done_once() -> None:
    source = SourceConfig(source="reviewed", model="fingers")
    before = DatasetConfig.model_validate({"source": "csv", "path": "data/leaves", "csv": {"label": "kind"}, "seed": 3})
    after = with_source(before, source)
    assert (after.title, after.seed, len(after.sources)) == ("leaves", 3, 2)
    assert after.sources[0].csv.label == "kind"
    assert with_source(after, source) == after


def test_nothing_else_can_be_added() -> None:
    from handful_trainer.config import load_config
    from handful_trainer.config.adding import with_added

    settings_ = load_config(Path(__file__).parents[4] / "configs" / "fingers.yaml")
    with pytest.raises(ConfigError, match="--add everything is not known"):
        with_added(settings_, "everything")
    added = with_added(settings_, "reviewed")
    assert added.model.pretrained == "models:/fingers@champion"
    assert [one.source for one in added.dataset.sources] == ["picsellia-export", "reviewed"]
