"""The dataset source `label-studio`: choices for whole images, in Label Studio's exports JSON and JSON-MIN."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from handful_core.folders import list_files
from handful_trainer.dataset.accounts import ANNOTATION_RECORDS, Books
from handful_trainer.dataset.errors import AnnotationError, DamagedFileError, MissingSourceError
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import ACCEPTED, NO_ANNOTATION, RawDataset
from handful_trainer.dataset.sources.fields import expect_object, json_type, optional_list, read_json
from handful_trainer.dataset.sources.image_labels import (
    ImageEntry,
    account_files,
    find_images,
    item_warnings,
    items_of,
    sorted_classes,
)

_TASKS, _RESULTS = "tasks", "results"
_KEYS = frozenset({"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement"})
"""Keys of JSON-MIN that Label Studio itself writes; the others are the image's address and what was labelled."""
_SKIPPED = "skipped"
_HINT = "export it again as JSON or JSON-MIN"


class LabelStudioSource:
    """Reads an export of a project with choices for images. What several people said of an image counts together."""

    def __init__(self, config: DatasetConfig, home: Path) -> None:
        del home
        self._path = config.path or Path()
        self._images = config.images

    def roots(self) -> tuple[Path, ...]:
        """The export, and the folder of the images."""
        return (self._file, self._images or self._file.parent)

    def read(self) -> RawDataset:
        """All images with their classes."""
        books, content = Books(), read_json(self._file, "Label Studio's tasks")
        if not isinstance(content, list):
            raise DamagedFileError(f"{self._file} holds {json_type(content)}, not Label Studio's list of tasks", _HINT)
        books.find(_TASKS, len(content))
        entries = [self._entry(number, task, books) for number, task in enumerate(content, 1)]
        found = find_images([entry.image for entry in entries if entry.image], self._file.parent, self._images)
        items = items_of(entries, found, _TASKS, books)
        account_files(books, found, self._images or self._file.parent, f"no task of {self._file.name} names it")
        classes = sorted_classes(name for item in items for name in item.labels)
        return RawDataset(tuple(items), classes, books.close(), tuple(item_warnings(items)))

    @cached_property
    def _file(self) -> Path:
        if self._path.is_file():
            if self._path.suffix.lower() == ".csv":
                raise MissingSourceError(f"{self._path} is a table", "set dataset.source: csv")
            return self._path
        if not self._path.is_dir():
            raise MissingSourceError(f"{self._path} does not exist", "correct dataset.path")
        exports = [name for name in list_files(self._path) if name.lower().endswith(".json")]
        if len(exports) == 1:
            return self._path / exports[0]
        what = f"several JSON files: {', '.join(exports)}" if exports else "no JSON file"
        raise MissingSourceError(f"{self._path} has {what}", "name the export itself in dataset.path")

    def _entry(self, number: int, task: Any, books: Books) -> ImageEntry:
        where = f"{self._file.name}, task {number}"
        content = expect_object(where, task)
        if "annotations" not in content and "data" not in content:
            return _entry_of_min(where, content)
        data = expect_object(f"{where}: data", content.get("data"))
        labels, cancelled = list[str](), False
        annotations = optional_list(where, content, "annotations")
        for annotation in annotations:
            expect_object(where, annotation)
            books.find(ANNOTATION_RECORDS)
            if annotation.get("was_cancelled"):
                cancelled = True
                books.leave_out(ANNOTATION_RECORDS, "that were skipped", where)
            else:
                books.use(ANNOTATION_RECORDS)
                labels += _choices(where, annotation, books)
        status = ACCEPTED if labels else _SKIPPED if cancelled else NO_ANNOTATION
        return ImageEntry(where, _image(data), tuple(dict.fromkeys(labels)), status=status)


def _choices(where: str, annotation: Mapping[str, Any], books: Books) -> Iterator[str]:
    """What an annotation says that the image is."""
    for result in optional_list(where, dict(annotation), "result"):
        expect_object(where, result)
        books.find(_RESULTS)
        if result.get("type") != "choices":
            hint = "classifiers learn choices only"
            books.leave_out(_RESULTS, f"of the type {result.get('type')}", where, hint)
            continue
        books.use(_RESULTS)
        yield from _texts(where, expect_object(where, result.get("value")).get("choices"))


def _entry_of_min(where: str, task: Mapping[str, Any]) -> ImageEntry:
    """A task of JSON-MIN: the image's address, and a text or object by the name of each control."""
    image = _image(task)
    others = {key: value for key, value in task.items() if key not in _KEYS and value != image}
    labels = [label for value in others.values() for label in _labels_of_min(where, value)]
    return ImageEntry(where, image, tuple(dict.fromkeys(labels)), status=ACCEPTED if labels else NO_ANNOTATION)


def _labels_of_min(where: str, value: Any) -> list[str]:
    if isinstance(value, dict) and "choices" in value:
        return _texts(where, value["choices"])
    return [value] if isinstance(value, str) and value else []


def _texts(where: str, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(text, str) and text for text in value):
        raise AnnotationError(f"{where}: choices is not a list of texts", _HINT)
    return value


def _image(data: Mapping[str, Any]) -> str:
    """The image's address: under `image`, else the first text that is a path."""
    texts = [value for value in data.values() if isinstance(value, str) and ("/" in value or "." in value)]
    named = data.get("image")
    return named if isinstance(named, str) else next(iter(texts), "")
