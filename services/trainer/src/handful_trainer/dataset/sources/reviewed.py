"""The dataset source `reviewed`: captured pictures that a person accepted or corrected, out of MLflow.

They are brought into Handful's folder first, those that are new; what was deleted in the store goes there too.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from handful_core.console import say
from handful_core.errors import NotFoundError
from handful_core.files import write_atomically
from handful_core.review import Annotation, CapturedPicture, Review, ReviewStore
from handful_core.review.records import is_id
from handful_core.settings import CoreSettings, load
from handful_trainer.dataset.accounts import Books
from handful_trainer.dataset.errors import EmptyDatasetError
from handful_trainer.dataset.settings import DatasetConfig, plain
from handful_trainer.dataset.sources.base import ACCEPTED, RawBox, RawDataset, RawItem, captured_id

CAPTURED = "captured pictures"
_RAW, _LIST = "raw", "reviewed.json"
_OF_DATASET = re.compile(r"dataset:([0-9a-f]{64})")
"""The source of a picture that `handful data label-issues --review` captured: its file's sha256."""


def dataset_source(sha256: str) -> str:
    """What a captured picture says of its source if it is an image of a dataset."""
    return f"dataset:{sha256}"


def kept_files(home: Path) -> dict[str, Path]:
    """Files of captured pictures that were brought into Handful's folder, of all models, by the picture's id."""
    return {path.stem: path for path in (home / _RAW).glob("*-reviewed/*.jpg") if is_id(path.stem)}


def forget(paths: Iterable[Path]) -> None:
    """Remove some of `kept_files`, and what is listed of them."""
    for path in paths:
        listed = path.parent / _LIST
        if listed.is_file():
            entries = json.loads(listed.read_bytes())
            left = [entry for entry in entries if entry["picture"]["id"] != path.stem]
            _write_if_changed(listed, json.dumps(left, indent=1))
        path.unlink(missing_ok=True)


class ReviewedSource:
    """Brings the folder up to date with the store, once, and hands over what is in it."""

    def __init__(self, config: DatasetConfig, home: Path) -> None:
        self._model, self._test = config.model, config.test
        self._folder = home / _RAW / plain(f"{config.model}-reviewed")

    def roots(self) -> tuple[Path, ...]:
        """The folder of pictures, and the list of their annotations.

        Raises:
            EmptyDatasetError: no picture of the model was accepted or corrected.
            UnavailableError: MLflow does not answer.
        """
        pictures, _ = self._brought
        return (self._folder,) if pictures else ()

    def read(self) -> RawDataset:
        """All pictures that are accepted or corrected; the others are accounted for."""
        pictures, books = self._brought
        items = [self._item(picture, review) for picture, review in pictures]
        tasks = {picture.task for picture, _ in pictures}
        return RawDataset(tuple(items), accounts=books.close(), made_for=tasks.pop() if len(tasks) == 1 else "")

    @cached_property
    def _brought(self) -> tuple[list[tuple[CapturedPicture, Review]], Books]:
        """What is used, and the accounts of all that was captured."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with ReviewStore.at(load(CoreSettings).mlflow_uri) as store:
            captured, reviews = store.pictures(self._model), store.reviews(self._model)
            books, used = _accounted(captured, reviews)
            _refuse_none(self._model, len(captured), used)
            self._remove_others({picture.id for picture, _ in used}, {picture.id for picture in captured})
            used = [(picture, review) for picture, review in used if self._bring(store, picture, books)]
        entries = [{"picture": picture.to_json(), "review": review.to_json()} for picture, review in used]
        _write_if_changed(self._folder / _LIST, json.dumps(entries, indent=1))
        return used, books

    def _bring(self, store: ReviewStore, picture: CapturedPicture, books: Books) -> bool:
        """Have a picture's file here. One that is deleted meanwhile is left out."""
        path = self._path(picture)
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != picture.sha256:
            try:
                write_atomically(path, store.image(picture.id))
            except NotFoundError:
                books.leave_out(CAPTURED, "deleted meanwhile", picture.id)
                return False
        books.use(CAPTURED)
        return True

    def _path(self, picture: CapturedPicture) -> Path:
        return self._folder / f"{picture.id}.jpg"

    def _remove_others(self, used: set[str], captured: set[str]) -> None:
        """Who deletes a picture finds it nowhere."""
        removed = [path for path in self._folder.glob("*.jpg") if path.stem not in used]
        for path in removed:
            path.unlink()
        if deleted := sum(path.stem not in captured for path in removed):
            say(f"{deleted} pictures were deleted in the review. See which datasets still have copies of deleted ones, "
                "and remove these: handful data purge --dry-run, then without --dry-run")  # fmt: skip

    def _item(self, picture: CapturedPicture, review: Review) -> RawItem:
        named = _OF_DATASET.fullmatch(picture.source)
        return RawItem(
            id=captured_id(picture.id),
            path=self._path(picture),
            name=f"{picture.id}.jpg",
            status=ACCEPTED,
            boxes=_boxes(review.annotation),
            size=(picture.width, picture.height),
            labels=(review.annotation.name,) if review.annotation.name else (),
            reviewed=True,
            kept_from_test=not self._test,
            corrects=named[1] if named else "",
        )


def _accounted(
    captured: list[CapturedPicture], reviews: Mapping[str, Review]
) -> tuple[Books, list[tuple[CapturedPicture, Review]]]:
    """The accounts, in which the used ones are still missing, and these."""
    books, used = Books(), []
    for picture in captured:
        books.find(CAPTURED)
        review = reviews.get(picture.id)
        if review is None:
            books.leave_out(CAPTURED, "not reviewed yet", picture.id)
        elif review.status == "not usable":
            books.leave_out(CAPTURED, "not usable", picture.id)
        else:
            used.append((picture, review))
    return books, used


def _refuse_none(model: str, captured: int, used: list[Any]) -> None:
    if not used:
        raise EmptyDatasetError(
            f"none of the {captured} captured pictures of the model {model} is accepted or corrected",
            "review some of them in the dashboard, or name another model",
        )


def _boxes(annotation: Annotation) -> tuple[RawBox, ...]:
    found = [(each.name, each.box) for each in annotation.objects]
    return tuple(RawBox(name, x1, y1, x2 - x1, y2 - y1) for name, (x1, y1, x2, y2) in found)


def _write_if_changed(path: Path, text: str) -> None:
    """`prepare` goes by the time of its last change."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_atomically(path, text)
