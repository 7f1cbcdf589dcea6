"""What MLflow has to do for captured pictures, be it MLflow or the fake: both run this suite."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from handful_core.errors import DataError, NotFoundError, UnavailableError
from handful_core.registry.monitoring import DAY, KIND, MonitoringExperiments, MonitoringRun
from handful_core.review import ReviewStore, StaleReviewError
from handful_core.review.store import EMPTIED, REVIEW
from support.captured import NOON, draw_jpeg, draw_leaf, draw_picture, draw_review


class ReviewSuite:
    """Subclasses give the fixture `experiments`, of the prefix for reviews. Each test uses a model of its own."""

    @pytest.fixture
    def store(self, experiments: MonitoringExperiments) -> ReviewStore:
        return ReviewStore(experiments, "one")

    @pytest.fixture
    def other(self, experiments: MonitoringExperiments) -> ReviewStore:
        """Another process, which remembers nothing of the first."""
        return ReviewStore(experiments, "two")

    @pytest.fixture
    def model(self) -> str:
        return f"größe 50% {uuid.uuid4().hex[:6]}"

    def test_a_model_without_pictures_has_none(self, store: ReviewStore, model: str) -> None:
        assert store.pictures(model) == []
        assert store.reviews(model) == {}
        assert store.reviewed(model) == set()
        assert store.delete_all(model) == 0
        assert model not in store.models()

    def test_pictures_come_back_as_they_were_the_oldest_first(
        self, store: ReviewStore, other: ReviewStore, model: str
    ) -> None:
        jpegs = [draw_jpeg(seed) for seed in range(3)]
        late = draw_picture(model, jpegs[0], at=NOON + timedelta(hours=1))
        early = draw_leaf(model, at=NOON - timedelta(days=1))
        assert store.add(late, jpegs[0])
        assert other.add(early, jpegs[1])
        assert store.add(late, jpegs[0])  # A second time is the same as once.
        for reader in (store, other, store):
            assert reader.pictures(model) == [early, late]
        assert other.image(late.id) == jpegs[0]
        assert other.picture(late.id) == late
        assert store.picture(early.id) == early
        assert model in store.models()

    def test_a_review_needs_the_revision_that_was_read(
        self, store: ReviewStore, other: ReviewStore, model: str
    ) -> None:
        picture = draw_picture(model)
        store.add(picture, b"jpeg")
        assert store.review(picture.id) is None
        first = draw_review(picture, by="anna")
        store.write(first)
        with pytest.raises(StaleReviewError) as raised:
            other.write(draw_review(picture, by="ben"))
        assert raised.value.current == 1
        second = draw_review(picture, 2, by="ben", status="accepted")
        other.write(second)
        with pytest.raises(StaleReviewError):
            store.write(draw_review(picture, 4))
        assert store.review(picture.id) == second
        assert store.reviews(model) == {picture.id: second}
        assert store.reviewed(model) == {picture.id}

    def test_of_two_processes_that_review_at_once_one_is_told(
        self, store: ReviewStore, other: ReviewStore, model: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The other one reviews the picture between what the first one reads and what it writes."""
        picture = draw_picture(model)
        store.add(picture, b"jpeg")
        upload, refused = MonitoringRun.upload, []

        def review_it_too() -> None:
            try:
                other.write(draw_review(picture, by="ben"))
            except StaleReviewError as error:
                refused.append(error.current)

        rival = threading.Thread(target=review_it_too)

        def upload_late(run: MonitoringRun, path: str, content: bytes) -> None:
            if threading.current_thread() is not rival:
                rival.start()
                rival.join(1.0)
            upload(run, path, content)

        with monkeypatch.context() as patch:
            patch.setattr(MonitoringRun, "upload", upload_late)
            store.write(draw_review(picture, by="anna"))
            rival.join(60)
        assert refused == [1]
        found = store.review(picture.id)
        assert found is not None
        assert found.by == "anna"

    def test_each_revision_has_one_writer(self, experiments: MonitoringExperiments, model: str) -> None:
        stores = [ReviewStore(experiments, name) for name in ("one", "two", "three")]
        picture = draw_picture(model)
        stores[0].add(picture, b"jpeg")

        def write(store: ReviewStore, revision: int) -> str:
            by = f"{stores.index(store)}"
            try:
                store.write(draw_review(picture, revision, by=by))
            except StaleReviewError:
                return ""
            return by

        with ThreadPoolExecutor(len(stores)) as pool:
            for revision in range(1, 9):
                told = list(pool.map(partial(write, revision=revision), stores))
                (winner,) = filter(None, told)
                kept = stores[0].review(picture.id)
                assert kept is not None
                assert (kept.by, kept.revision) == (winner, revision)

    def test_who_ends_before_the_review_is_written_blocks_nobody(
        self, experiments: MonitoringExperiments, store: ReviewStore, model: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        picture = draw_picture(model)
        store.add(picture, b"jpeg")

        def lose(*_: object) -> None:
            raise UnavailableError("MLflow does not answer")

        with monkeypatch.context() as patch:
            patch.setattr(MonitoringRun, "upload", lose)
            with pytest.raises(UnavailableError):
                store.write(draw_review(picture, by="anna"))
        after = ReviewStore(experiments, "two", patience=0.3)
        after.write(draw_review(picture, by="ben"))
        assert after.reviews(model)[picture.id].by == "ben"
        with pytest.raises(StaleReviewError):
            store.write(draw_review(picture, by="anna"))

    def test_who_lost_the_connection_writes_again_at_once(
        self, store: ReviewStore, model: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        picture = draw_picture(model)
        store.add(picture, b"jpeg")

        def lose(*_: object) -> None:
            raise UnavailableError("MLflow does not answer")

        with monkeypatch.context() as patch:
            patch.setattr(MonitoringRun, "upload", lose)
            with pytest.raises(UnavailableError):
                store.write(draw_review(picture))
        monkeypatch.setattr(ReviewStore, "_await_revision", lose)
        store.write(draw_review(picture))
        assert store.reviewed(model) == {picture.id}

    @pytest.mark.parametrize("everything", [False, True])
    def test_a_review_of_what_is_deleted_meanwhile_does_not_stay(
        self,
        store: ReviewStore,
        other: ReviewStore,
        experiments: MonitoringExperiments,
        model: str,
        monkeypatch: pytest.MonkeyPatch,
        *,
        everything: bool,
    ) -> None:
        picture = draw_picture(model)
        store.add(picture, b"jpeg")
        (run,) = experiments.runs(model, {KIND: REVIEW})
        upload = MonitoringRun.upload

        def upload_late(run: MonitoringRun, path: str, content: bytes) -> None:
            if path.startswith("reviewed/"):
                other.delete_all(model) if everything else other.delete(picture.id)
            upload(run, path, content)

        monkeypatch.setattr(MonitoringRun, "upload", upload_late)
        with pytest.raises(NotFoundError):
            store.write(draw_review(picture))
        assert run.files("reviewed") == []

    def test_a_deleted_picture_is_gone_and_does_not_come_back(
        self, store: ReviewStore, other: ReviewStore, experiments: MonitoringExperiments, model: str
    ) -> None:
        picture, kept = draw_picture(model), draw_picture(model)
        for each in (picture, kept):
            store.add(each, b"jpeg")
            store.write(draw_review(each))
        assert other.image(picture.id) == b"jpeg"
        store.delete(picture.id)
        (run,) = experiments.runs(model, {KIND: REVIEW})
        assert run.files("captured") == [f"{kept.id}.jpg", f"{kept.id}.json"]
        assert run.files("reviewed") == [f"{kept.id}.json"]
        for reader in (store, other):
            assert reader.pictures(model) == [kept]
            for ask in (reader.image, reader.delete):
                with pytest.raises(NotFoundError, match="no captured picture"):
                    ask(picture.id)
        with pytest.raises(NotFoundError):
            other.write(draw_review(picture, 2))
        assert not store.add(picture, b"jpeg")  # It waited on another disk.
        assert store.pictures(model) == [kept]

    def test_what_others_have_deleted_cannot_be_reviewed(
        self, store: ReviewStore, other: ReviewStore, model: str
    ) -> None:
        picture = draw_picture(model)
        store.add(picture, b"jpeg")
        assert other.pictures(model) == [picture]
        store.delete(picture.id)
        with pytest.raises(NotFoundError):
            other.write(draw_review(picture))
        assert store.reviews(model) == {}

    def test_all_of_a_model_are_deleted_and_later_ones_are_kept(
        self, store: ReviewStore, other: ReviewStore, experiments: MonitoringExperiments, model: str
    ) -> None:
        pictures = [draw_picture(model), draw_picture(model, at=NOON - timedelta(days=3))]
        for each in pictures:
            store.add(each, b"jpeg")
        other.add(on_disk := draw_picture(model), b"jpeg")
        runs = list(experiments.runs(model, {KIND: REVIEW}))
        assert len(runs) == 3
        assert store.delete_all(model) == 3
        assert [run.files("captured") for run in runs] == [[], [], []]
        assert store.pictures(model) == []
        with pytest.raises(NotFoundError):
            store.image(pictures[0].id)
        assert not other.add(on_disk, b"jpeg")
        assert other.add(
            later := draw_picture(model, at=datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)), b"jpeg"
        )
        assert store.pictures(model) == [later]

    def test_a_tag_that_is_no_time_is_told(
        self, store: ReviewStore, experiments: MonitoringExperiments, model: str
    ) -> None:
        for said in ("yesterday", "2026-11-29T08:00:00"):
            experiments.set_tag(model, EMPTIED, said)
            with pytest.raises(DataError, match="no time with a zone"):
                store.add(draw_picture(model), b"jpeg")

    def test_old_days_are_removed(self, store: ReviewStore, experiments: MonitoringExperiments, model: str) -> None:
        old, new = draw_picture(model, at=NOON - timedelta(days=8)), draw_picture(model)
        store.add(old, b"jpeg")
        store.add(new, b"jpeg")
        assert store.delete_before(model, "2026-11-22") == 1
        assert store.pictures(model) == [new]
        assert [run.tags[DAY] for run in experiments.runs(model, {KIND: REVIEW})] == ["2026-11-29"]

    def test_old_pictures_that_were_reviewed_stay(
        self, store: ReviewStore, experiments: MonitoringExperiments, model: str
    ) -> None:
        old = [draw_picture(model, at=NOON - timedelta(days=8)) for _ in range(3)]
        for each in old:
            store.add(each, b"jpeg")
        store.write(draw_review(old[0]))
        assert store.delete_before(model, "2026-11-29") == 2
        assert store.pictures(model) == [old[0]]
        (run,) = experiments.runs(model, {KIND: REVIEW})
        assert run.files("captured") == [f"{old[0].id}.jpg", f"{old[0].id}.json"]

    def test_damaged_records_are_left_out_and_can_be_deleted(
        self, store: ReviewStore, experiments: MonitoringExperiments, model: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        good, bad, swapped = (draw_picture(model) for _ in range(3))
        store.add(good, b"jpeg")
        (run,) = experiments.runs(model, {KIND: REVIEW})
        run.upload(f"captured/{bad.id}.json", b'{"schema": 1')
        run.upload(f"captured/{swapped.id}.json", b"[" * 5000)
        assert store.pictures(model) == [good]
        assert "is left out" in caplog.text
        store.delete(bad.id)
        assert run.files("captured") == sorted([f"{good.id}.jpg", f"{good.id}.json", f"{swapped.id}.json"])

    @pytest.mark.parametrize("bad", ["", "../secret", "0" * 31, "0" * 33, "G" * 32, "é" * 32])
    def test_what_is_no_id_is_no_picture(self, store: ReviewStore, bad: str) -> None:
        for ask in (store.image, store.picture, store.delete, store.review):
            with pytest.raises(NotFoundError):
                ask(bad)
