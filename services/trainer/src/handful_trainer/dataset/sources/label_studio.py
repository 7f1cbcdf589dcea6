"""The dataset source `label-studio`: choices for whole images, in Label Studio's exports JSON and JSON-MIN."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from handful_core.errors import ConfigError
from handful_core.folders import list_files
from handful_trainer.dataset.accounts import ANNOTATION_RECORDS, Books
from handful_trainer.dataset.errors import AnnotationError, DamagedFileError, MissingSourceError
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import ACCEPTED, NO_ANNOTATION, RawDataset
from handful_trainer.dataset.sources.csv.columns import USUAL_LABELS
from handful_trainer.dataset.sources.fields import expect_object, json_type, optional_list, read_json
from handful_trainer.dataset.sources.image_labels import (
    ImageEntry,
    account_files,
    find_images,
    item_warnings,
    items_of,
    sorted_classes,
)

_TASKS, _RESULTS, _CONTROLS = "tasks", "results", "controls"
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
        self._wanted = config.label_studio.control

    def roots(self) -> tuple[Path, ...]:
        """The export, and the folder of the images."""
        return (self._file, self._images or self._file.parent)

    def read(self) -> RawDataset:
        """All images with their classes."""
        books, content = Books(), read_json(self._file, "Label Studio's tasks")
        if not isinstance(content, list):
            raise DamagedFileError(f"{self._file} holds {json_type(content)}, not Label Studio's list of tasks", _HINT)
        books.find(_TASKS, len(content))
        tasks = [expect_object(self._where(number), task) for number, task in enumerate(content, 1)]
        control = self._control(tasks, books)
        entries = [self._entry(number, task, control, books) for number, task in enumerate(tasks, 1)]
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

    def _where(self, number: int) -> str:
        return f"{self._file.name}, task {number}"

    def _control(self, tasks: Sequence[dict[str, Any]], books: Books) -> str:
        """The control whose choices are the classes.

        Raises:
            ConfigError: the one that is configured is not there.
            DamagedFileError: it is not clear which is meant.
        """
        names = dict.fromkeys(name for task in tasks for name in _controls(task))
        control = self._wanted or _likeliest(list(names))
        if control is None:
            raise DamagedFileError(
                f"the labels of {self._file} may be those of {', '.join(names)}", "set dataset.label_studio.control"
            )
        if self._wanted and control not in names:
            raise ConfigError(
                f"dataset.label_studio.control: {self._file} has no control {control!r} with choices",
                f"it has {', '.join(names)}" if names else _HINT,
            )
        for name in names:
            books.find(_CONTROLS)
            if name == control:
                books.use(_CONTROLS)
            else:
                books.leave_out(_CONTROLS, "that are not read", name)
        return control

    def _entry(self, number: int, task: dict[str, Any], control: str, books: Books) -> ImageEntry:
        where = self._where(number)
        if _is_min(task):
            return _entry_of_min(where, task, control)
        data = expect_object(f"{where}: data", task.get("data"))
        labels, cancelled = list[str](), False
        annotations = optional_list(where, task, "annotations")
        for annotation in annotations:
            expect_object(where, annotation)
            books.find(ANNOTATION_RECORDS)
            if annotation.get("was_cancelled"):
                cancelled = True
                books.leave_out(ANNOTATION_RECORDS, "that were skipped", where)
            else:
                books.use(ANNOTATION_RECORDS)
                labels += _choices(where, annotation, control, books)
        status = ACCEPTED if labels else _SKIPPED if cancelled else NO_ANNOTATION
        return ImageEntry(where, _image(data), tuple(dict.fromkeys(labels)), status=status)


def _is_min(task: Mapping[str, Any]) -> bool:
    return "annotations" not in task and "data" not in task


def _controls(task: Mapping[str, Any]) -> Iterator[str]:
    """Names of what may be the classes in a task, as often as they occur. What is malformed is told of later."""
    if _is_min(task):
        image = _image(task)
        yield from (
            key for key, value in task.items() if key not in _KEYS and value != image and _says_something(value)
        )
        return
    for annotation in task.get("annotations") or ():
        results = annotation.get("result") if isinstance(annotation, dict) else None
        for result in results if isinstance(results, list) else ():
            if isinstance(result, dict) and result.get("type") == "choices":
                yield _name_of_control(result)


def _name_of_control(result: Mapping[str, Any]) -> str:
    return str(result.get("from_name", ""))


def _says_something(value: Any) -> bool:
    return (isinstance(value, str) and bool(value)) or (isinstance(value, dict) and "choices" in value)


def _likeliest(names: Sequence[str]) -> str | None:
    """The only control, or the only one of a usual name; none if several may be meant."""
    if len(names) < 2:
        return next(iter(names), "")
    usual = [name for name in names if name.lower() in USUAL_LABELS]
    return usual[0] if len(usual) == 1 else None


def _choices(where: str, annotation: Mapping[str, Any], control: str, books: Books) -> Iterator[str]:
    """What an annotation says that the image is."""
    results = [expect_object(where, result) for result in optional_list(where, dict(annotation), "result")]
    regions = {result.get("id") for result in results if result.get("type") != "choices"} - {None}
    for result in results:
        books.find(_RESULTS)
        if result.get("type") != "choices":
            hint = "classifiers learn choices only"
            books.leave_out(_RESULTS, f"of the type {result.get('type')}", where, hint)
        elif _name_of_control(result) != control:
            books.leave_out(_RESULTS, f"of the control {_name_of_control(result)}", where)
        elif result.get("id") in regions:
            books.leave_out(_RESULTS, "that describe a region", where, "classifiers learn what the whole image shows")
        else:
            books.use(_RESULTS)
            yield from _texts(where, expect_object(where, result.get("value")).get("choices"))


def _entry_of_min(where: str, task: Mapping[str, Any], control: str) -> ImageEntry:
    """A task of JSON-MIN: the image's address, and a text or object by the name of each control."""
    labels = _labels_of_min(where, task.get(control))
    status = ACCEPTED if labels else NO_ANNOTATION
    return ImageEntry(where, _image(task), tuple(dict.fromkeys(labels)), status=status)


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
