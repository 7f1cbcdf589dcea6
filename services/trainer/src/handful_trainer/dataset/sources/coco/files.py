"""Which JSON files of a folder are COCO's instances, and what the others are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from handful_core.folders import walk_files
from handful_trainer.dataset.accounts import LEFT_BY_SYSTEM, Books
from handful_trainer.dataset.errors import MissingSourceError
from handful_trainer.dataset.sources.base import SplitName, split_word
from handful_trainer.dataset.sources.coco.instances import InstancesFile
from handful_trainer.dataset.sources.fields import read_json

JSON_FILES = "JSON files"
_JSON = frozenset({".json"})
_BESIDE = re.compile(r"(captions|person_keypoints|stuff|panoptic|image_info)_")
"""How COCO's own files begin that describe the images of its instances files once more."""
_LISTS = ("images", "annotations", "categories")


class Found(NamedTuple):
    """An instances file."""

    reader: InstancesFile
    split: SplitName | None
    """The split that its name or folder says, if there are several files."""


def open_files(path: Path, books: Books) -> list[Found]:
    """Read the instances files of a folder, or the one that is named.

    Args:
        path: the folder or the file.
        books: the accounts.

    Raises:
        DataError: there is none, or one is damaged.
    """
    if path.is_file():
        books.find(JSON_FILES)
        books.use(JSON_FILES)
        return [Found(InstancesFile(path, read_json(path, "images, annotations and categories")), None)]
    if not path.is_dir():
        raise MissingSourceError(f"{path} does not exist", "correct dataset.path")
    found = walk_files(path, _JSON)
    if not found.data:
        raise MissingSourceError(f"{path} has no COCO file", "name the instances JSON file itself")
    books.find(JSON_FILES, len(found.data) + len(found.system))
    for left in found.system:
        books.leave_out(JSON_FILES, LEFT_BY_SYSTEM, left.name)
    readers = list(_instances(found.data, books))
    books.use(JSON_FILES, len(readers))
    several = len(readers) > 1
    return [Found(reader, split_of(reader.path.relative_to(path)) if several else None) for reader in readers]


def json_files(folder: Path) -> list[Path]:
    """The JSON files below a folder, of whatever kind."""
    return walk_files(folder, _JSON).data


def _instances(files: list[Path], books: Books) -> Iterator[InstancesFile]:
    """The instances files among JSON files.

    Raises:
        DamagedFileError: none of them is one.
    """
    any_instances = any(file.name.startswith("instances") for file in files)
    none = True
    others: list[tuple[Path, Any]] = []
    for file in files:
        if any_instances and _BESIDE.match(file.name):
            books.leave_out(JSON_FILES, "beside instances files", file.name)
            continue
        content = read_json(file, "images, annotations and categories")
        if _reason(content):
            others.append((file, content))
            continue
        none = False
        yield InstancesFile(file, content)
    if none:
        file, content = others[0]
        InstancesFile(file, content)  # It says what is wrong with the first of them.
        raise MissingSourceError(
            f"{file} is no instances file but one {_reason(content)}", "name the instances JSON file itself"
        )
    for file, content in others:
        hint = (
            "name the instances file itself if this one belongs to it"
            if isinstance(content, dict) and any(isinstance(content.get(key), list) for key in _LISTS)
            else ""
        )
        books.leave_out(JSON_FILES, _reason(content), file.name, hint)


def _reason(content: Any) -> str:
    """Why a JSON file is no instances file; empty if it is one."""
    if not isinstance(content, dict):
        return "with a list of results" if isinstance(content, list) else "that are no COCO files"
    missing = [key for key in _LISTS if not isinstance(content.get(key), list)]
    first = next((each for each in content.get("annotations") or () if isinstance(each, dict)), {})
    if isinstance(first, dict) and "bbox" not in first and "segmentation" not in first:
        if "caption" in first:
            return "with captions"
        if "segments_info" in first:
            return "with panoptic segments"
    if len(missing) == len(_LISTS):
        return "that are no COCO files"
    return f"without a list of {missing[0]}" if missing else ""


def split_of(file: PurePath) -> SplitName | None:
    """The split that a whole word of the file's name says, else a folder in the dataset; a year may follow.

    Args:
        file: its path in the dataset.
    """
    words = [*re.split(r"[\W_]+", file.stem), *reversed(file.parent.parts)]
    return next(filter(None, map(split_word, words)), None)
