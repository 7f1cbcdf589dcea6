"""Captured pictures and their reviews in MLflow's artifact store.

Experiment `review/<model>`, one run a replica and day, and in it:

    captured/<id>.jpg     the picture, after the face blur
    captured/<id>.json    when, by which model, why, and the answer: written last, so a picture is whole or not there
    reviewed/<id>.json    what a person said
    deleted/<id>          an empty mark: the picture was deleted, and whoever still has it may not bring it again
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Literal, Self, TypeVar

from handful_core.closing import Closing
from handful_core.errors import DataError, NotFoundError, RefusedError
from handful_core.package.errors import DamagedPackageError
from handful_core.registry.monitoring import (
    DAY,
    KIND,
    REPLICA,
    REVIEW_PREFIX,
    MonitoringExperiments,
    MonitoringRun,
)
from handful_core.review.records import CapturedPicture, Review, is_id, parse_picture, parse_review

Fate = Literal["there", "deleted", "unknown"]
REVIEW = "review"
"""The tag `handful.kind` of the runs."""
EMPTIED = "handful.emptied"
"""A tag of the experiment: pictures from before this time may not be brought any more."""
_CAPTURED, _REVIEWED, _DELETED = "captured", "reviewed", "deleted"
_JSON, _JPEG = ".json", ".jpg"
_MOST_JSON, _MOST_JPEG = 1 << 20, 64 << 20
_POLL = 0.2
"""Seconds."""
_READERS = 8
"""Files that are fetched at once."""

_log = logging.getLogger(__name__)
_Found = TypeVar("_Found")


class StaleReviewError(RefusedError):
    """Somebody else has reviewed the picture meanwhile.

    Args:
        picture_id: which.
        current: the newest revision; 0 if there is none.
    """

    def __init__(self, picture_id: str, current: int) -> None:
        super().__init__(
            f"picture {picture_id} is at revision {current}, not at the one that was read", "read it again"
        )
        self.current = current


class ReviewStore(Closing):
    """All pictures and reviews on one MLflow. Threads may share it.

    Processes that review the same picture at the same moment are kept apart: each revision is written by the one that
    sets a parameter of the run first. MLflow's artifacts know no such thing, its database does.

    Args:
        experiments: MLflow's, with the prefix `REVIEW_PREFIX`.
        replica: who adds pictures.
        patience: seconds that a revision's writer has for it, before another one may write the revision.

    Every method raises `UnavailableError` when MLflow does not answer.
    """

    def __init__(self, experiments: MonitoringExperiments, replica: str = "review", patience: float = 30) -> None:
        self._experiments = experiments
        self._replica = replica
        self._patience = patience
        self._token = uuid.uuid4().hex
        """Tells the revisions that this process may write."""
        self._pictures: dict[str, CapturedPicture] = {}
        """By id. They never change."""
        self._places: dict[str, MonitoringRun] = {}
        """By id."""
        self._lock = threading.RLock()
        """One thread at a time writes or deletes."""

    @classmethod
    def at(cls, uri: str, timeout: float = 60, attempts: int = 3, replica: str = "review") -> Self:
        """The store of the MLflow at this address."""
        return cls(MonitoringExperiments(uri, timeout, attempts, prefix=REVIEW_PREFIX), replica)

    def close(self) -> None:
        """Close the connections."""
        self._experiments.close()

    def models(self) -> list[str]:
        """Models that have, or had, captured pictures."""
        return self._experiments.models()

    def pictures(self, model: str) -> list[CapturedPicture]:
        """A model's pictures, the oldest first. A damaged one is left out and logged."""
        places = self._listed(model, _CAPTURED)
        unread = [each for each in places if each not in self._pictures]
        read = _each(lambda each: _picture(places[each], each), unread)
        with self._lock:
            self._pictures = {k: p for k, p in self._pictures.items() if p.model != model or k in places}
            self._pictures |= {picture.id: picture for picture in read}
            self._places |= places
            found = [self._pictures[each] for each in places if each in self._pictures]
        return sorted(found, key=lambda picture: (picture.at, picture.id))

    def reviewed(self, model: str) -> set[str]:
        """Ids of a model's pictures that have a review: cheaper than to read these."""
        return set(self._listed(model, _REVIEWED))

    def reviews(self, model: str) -> dict[str, Review]:
        """A model's reviews, by id. A damaged one is left out and logged."""
        places = self._listed(model, _REVIEWED)
        return {review.id: review for review in _each(lambda each: _review(places[each], each), list(places))}

    def picture(self, picture_id: str) -> CapturedPicture:
        """One picture.

        Raises:
            NotFoundError: there is none.
        """
        place = self._place(picture_id)
        if (found := self._pictures.get(picture_id) or _picture(place, picture_id)) is None:
            raise _missing(picture_id)
        return found

    def review(self, picture_id: str) -> Review | None:
        """A picture's review; None if it has none.

        Raises:
            NotFoundError: there is no such picture.
        """
        return _review(self._place(picture_id), picture_id)

    def image(self, picture_id: str) -> bytes:
        """A picture's JPEG.

        Raises:
            NotFoundError: there is none.
        """
        try:
            return self._place(picture_id).read(f"{_CAPTURED}/{picture_id}{_JPEG}", _MOST_JPEG)
        except FileNotFoundError as error:
            self._forget(picture_id)
            raise _missing(picture_id) from error

    def add(self, picture: CapturedPicture, jpeg: bytes) -> bool:
        """Keep a picture; a second time is the same as once.

        Returns:
            False if it was deleted before: then it is not kept.
        """
        with self._lock:
            run = self._run(picture)
            if self._is_refused(picture, run):
                return False
            run.upload(f"{_CAPTURED}/{picture.id}{_JPEG}", jpeg)
            run.upload(f"{_CAPTURED}/{picture.id}{_JSON}", _dump(picture.to_json()))
            # Somebody may have deleted it since we asked. MLflow takes files of a deleted run, too.
            if self._is_refused(picture, run):
                _remove(run, picture.id)
                return False
            return True

    def write(self, review: Review) -> None:
        """Keep a review whose revision is one more than that of the one which was read.

        Raises:
            NotFoundError: there is no such picture.
            StaleReviewError: the newest revision is another one.
        """
        given_up = 0
        while (writers := self._written(review, given_up)) is not None:
            # Another process writes this revision. If it ends before it has, somebody else may.
            given_up = writers
            self._await_revision(review)

    def _written(self, review: Review, given_up: int) -> int | None:
        """Write a review, if this process may: None. Else how many processes were allowed to write it.

        Args:
            review: the review.
            given_up: processes that were allowed to, and are not waited for any more.
        """
        with self._lock:
            place = self._place(review.id)
            if not self._has(place, review.id):
                raise self._gone(review.id)
            if review.revision != (current := self._revision(place, review.id)) + 1:
                raise StaleReviewError(review.id, current)
            writers = _writers(place, review) if given_up else []
            if len(writers) == given_up:
                place.set_once(_turn(review, given_up), self._token)
                writers = _writers(place, review)
            if writers[-1] != self._token:
                return len(writers)
            path = f"{_REVIEWED}/{review.id}{_JSON}"
            place.upload(path, _dump(review.to_json()))
            # Another process may have deleted the picture since we asked: nothing of the review may stay.
            if not self._has(place, review.id) or review.id in place.files(_DELETED):
                place.remove(path)
                raise self._gone(review.id)
            return None

    def _await_revision(self, review: Review) -> None:
        """Wait until somebody has written a revision, as long as there is patience."""
        place, until = self._place(review.id), time.monotonic() + self._patience
        while self._revision(place, review.id) < review.revision and time.monotonic() < until:
            time.sleep(min(_POLL, self._patience))

    def _revision(self, place: MonitoringRun, picture_id: str) -> int:
        found = _review(place, picture_id)
        return found.revision if found else 0

    def _gone(self, picture_id: str) -> NotFoundError:
        self._forget(picture_id)
        return _missing(picture_id)

    def delete(self, picture_id: str) -> None:
        """Remove a picture, its record and its review for good.

        Raises:
            NotFoundError: there is none.
        """
        with self._lock:
            place = self._place(picture_id)
            # The mark comes first: from now on nobody brings the picture again. Its record goes last, so that what a
            # lost connection leaves is still listed and can be deleted.
            place.upload(f"{_DELETED}/{picture_id}", b"")
            _remove(place, picture_id)
            self._forget(picture_id)

    def delete_all(self, model: str) -> int:
        """Remove all pictures of a model with their reviews, and refuse those that are still on their way.

        Returns:
            How many pictures there were.
        """
        with self._lock:
            runs = self._all_runs(model)
            count = sum(len(self._ids(run, _CAPTURED)) for run in runs)
            if runs or self._experiments.tags(model):
                self._experiments.set_tag(model, EMPTIED, datetime.now(UTC).isoformat())
            for run in runs:
                run.delete()
            gone = {run.id for run in runs}
            for each in [each for each, run in self._places.items() if run.id in gone]:
                self._forget(each)
            return count

    def fates(self, ids: Collection[str]) -> dict[str, Fate]:
        """What became of pictures that were here once.

        After all pictures of a model were deleted, nothing tells any more which these were: from then on, whatever is
        not here counts as deleted. Before that, a picture that this MLflow has no mark of is unknown.
        """
        marked: set[str] = set()
        there: set[str] = set()
        emptied = False
        for model in self.models():
            emptied = emptied or EMPTIED in self._experiments.tags(model)
            for run in self._all_runs(model):
                there |= set(self._ids(run, _CAPTURED))
                marked |= set(run.files(_DELETED))
        gone: dict[str, Fate] = {each: "deleted" if emptied or each in marked else "unknown" for each in ids}
        return gone | {each: "there" for each in ids if each in there}

    def delete_before(self, model: str, day: str) -> int:
        """Remove pictures of earlier days (UTC, such as 2026-11-29) that have no review; how many there were."""
        with self._lock:
            old = [run for run in self._all_runs(model) if run.tags.get(DAY, day) < day]
            return sum(self._delete_unreviewed(run) for run in old)

    def _delete_unreviewed(self, run: MonitoringRun) -> int:
        reviewed = set(self._ids(run, _REVIEWED))
        files = {name.partition(".")[0] for name in run.files(_CAPTURED)} - reviewed
        if not reviewed and not run.files(_DELETED):  # The marks stay: see `fates`.
            run.delete()
        else:
            for each in files:
                _remove(run, each)
        for each in files:
            self._forget(each)
        return len(files)

    def _run(self, picture: CapturedPicture) -> MonitoringRun:
        """Where a picture goes. Looked up each time: a run that was deleted takes files, and nobody finds them."""
        tags = {KIND: REVIEW, REPLICA: self._replica, DAY: picture.day}
        run = next(self._experiments.runs(picture.model, tags), None)
        if run is None:
            run = self._experiments.create(picture.model, f"pictures of {self._replica}, {picture.day}", tags)
            run.end()  # It would say RUNNING for ever if this process is killed.
        return run

    def _is_refused(self, picture: CapturedPicture, run: MonitoringRun) -> bool:
        emptied = self._emptied(picture.model)
        if emptied is not None and picture.at <= emptied:
            return True
        return picture.id in run.files(_DELETED)

    def _emptied(self, model: str) -> datetime | None:
        """When all pictures of a model were deleted; None if they never were."""
        said = self._experiments.tags(model).get(EMPTIED)
        try:
            found = datetime.fromisoformat(said) if said else None
        except ValueError:
            found = datetime.min
        if found is not None and found.tzinfo is None:
            raise DataError(
                f"the tag {EMPTIED} of MLflow's experiment {REVIEW_PREFIX}{model} is {said!r}, and no time with a zone",
                "write one such as 2026-11-29T08:00:00+00:00, or remove the tag",
            )
        return found

    def _all_runs(self, model: str) -> list[MonitoringRun]:
        return list(self._experiments.runs(model, {KIND: REVIEW}))

    def _listed(self, model: str, folder: str) -> dict[str, MonitoringRun]:
        return {each: run for run in self._all_runs(model) for each in self._ids(run, folder)}

    def _ids(self, run: MonitoringRun, folder: str) -> list[str]:
        """Ids of the records in a folder of a run."""
        names = [name.removesuffix(_JSON) for name in run.files(folder) if name.endswith(_JSON)]
        return [name for name in names if is_id(name)]

    def _has(self, run: MonitoringRun, picture_id: str) -> bool:
        """Whether a picture is still there, whatever is remembered of it."""
        try:
            run.read(f"{_CAPTURED}/{picture_id}{_JSON}", _MOST_JSON)
        except FileNotFoundError:
            return False
        return True

    def _place(self, picture_id: str) -> MonitoringRun:
        if not is_id(picture_id):
            raise _missing(picture_id)
        if (known := self._places.get(picture_id)) is not None:
            return known
        for model in self.models():
            for run in self._all_runs(model):
                if picture_id in self._ids(run, _CAPTURED):
                    self._places[picture_id] = run
                    return run
        raise _missing(picture_id)

    def _forget(self, picture_id: str) -> None:
        self._pictures.pop(picture_id, None)
        self._places.pop(picture_id, None)


def _turn(review: Review, number: int) -> str:
    """The parameter with who may write a revision. Nobody finds the picture's id in the database."""
    return f"review.{hashlib.sha256(review.id.encode()).hexdigest()[:32]}.{review.revision}.{number}"


def _writers(run: MonitoringRun, review: Review) -> list[str]:
    """Tokens of the processes that were allowed to write a revision, one after the other."""
    params = run.params()
    turns = (_turn(review, number) for number in itertools.count())
    return [params[turn] for turn in itertools.takewhile(params.__contains__, turns)]


def _picture(run: MonitoringRun, picture_id: str) -> CapturedPicture | None:
    return _record(run, f"{_CAPTURED}/{picture_id}{_JSON}", picture_id, parse_picture)


def _review(run: MonitoringRun, picture_id: str) -> Review | None:
    return _record(run, f"{_REVIEWED}/{picture_id}{_JSON}", picture_id, parse_review)


def _record(run: MonitoringRun, path: str, picture_id: str, parse: Callable[[bytes], _Found]) -> _Found | None:
    try:
        found = parse(run.read(path, _MOST_JSON))
    except FileNotFoundError:
        return None
    except (DataError, DamagedPackageError) as error:
        _log.warning("%s of run %s is left out: %s", path, run.id, error.message)
        return None
    if getattr(found, "id", None) != picture_id:
        _log.warning("%s of run %s is left out: it is of another picture", path, run.id)
        return None
    return found


def _each(read: Callable[[str], _Found | None], ids: Sequence[str]) -> Iterator[_Found]:
    """What there is of each, several at a time."""
    with ThreadPoolExecutor(_READERS, "handful-review") as pool:
        found: Iterable[_Found | None] = list(pool.map(read, ids))
    return (each for each in found if each is not None)


def _remove(run: MonitoringRun, picture_id: str) -> None:
    for path in (f"{_CAPTURED}/{picture_id}{_JPEG}", f"{_REVIEWED}/{picture_id}{_JSON}"):
        run.remove(path)
    run.remove(f"{_CAPTURED}/{picture_id}{_JSON}")


def _dump(content: object) -> bytes:
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _missing(picture_id: str) -> NotFoundError:
    return NotFoundError(
        f"there is no captured picture {picture_id[:40]!r}", "it may have been deleted: list them again"
    )
