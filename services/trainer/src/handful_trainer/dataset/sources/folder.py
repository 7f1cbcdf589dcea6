"""The dataset source `folder`: a folder for each class, with or without a folder for each split above them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

from handful_core.folders import is_system_name, walk_files
from handful_core.vision.formats import identify
from handful_trainer.dataset.accounts import IMAGE_FILES, LEFT_BY_SYSTEM, Books, few
from handful_trainer.dataset.errors import DamagedFileError, MissingSourceError, check_folder
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import (
    ACCEPTED,
    IMAGE_SUFFIXES,
    AssetIds,
    RawDataset,
    RawItem,
    SplitName,
    split_word,
)

CLASSES = "classes.txt"
"""Names of the classes in their order, one a line. Without such a file they are in the order of their names."""
_FOLDERS, _SPLITS = "class folders", "splits"
_NO_CLASSES = frozenset({"images", "labels", "assets", "JPEGImages"})
"""Folders in which other layouts keep images, whatever they show."""


class _Image(NamedTuple):
    """An image in the folder of its class."""

    path: PurePath
    """Below the dataset's folder."""
    label: str
    split: SplitName | None
    depth: int
    """How many folders lie between the class's and the image."""


class ClassFolderSource:
    """Reads `CLASS/image.jpg`, or `SPLIT/CLASS/image.jpg`: as torchvision, Ultralytics and Kaggle lay them out.

    A folder is a split if it is called train, val (valid, validation) or test, in capitals or not, and its images lie
    in folders of their own. Images deeper in a class's folder are of that class.
    """

    def __init__(self, config: DatasetConfig, home: Path) -> None:
        del home
        self._root = config.path or Path()
        self._classes = config.classes

    def roots(self) -> tuple[Path, ...]:
        """The folder."""
        check_folder(self._root, "dataset.path")
        return (self._root,)

    def read(self) -> RawDataset:
        """All images with their classes."""
        self.roots()
        books = Books()
        found = walk_files(self._root, {*IMAGE_SUFFIXES, ""})
        paths = [path.relative_to(self._root) for path in found.data if path.suffix]
        nameless = [path for path in found.data if not path.suffix and _begins_as_image(path)]
        by_system = [path for path in found.system if path.suffix.lower() in IMAGE_SUFFIXES]
        books.find(IMAGE_FILES, len(paths) + len(nameless) + len(by_system))
        for path in by_system:
            books.leave_out(IMAGE_FILES, LEFT_BY_SYSTEM, path.name)
        for path in nameless:
            hint = "add the suffix of its format, such as .jpg"
            books.leave_out(IMAGE_FILES, "without a suffix", path.relative_to(self._root).as_posix(), hint)
        splits = self._splits(paths)
        images = list(_images(paths, splits, books))
        self._check_layout(paths, images, splits)
        books.use(IMAGE_FILES, len(images))
        self._account_folders(images, splits, books)
        ids = AssetIds()
        items = [
            RawItem(ids.assign(each.path), self._root / each.path, each.path.name, ACCEPTED,
                    split=each.split, labels=(each.label,))
            for each in images
        ]  # fmt: skip
        names = sorted({each.label for each in images})
        warnings = _warnings(images, [name for name in names if not splits and split_word(name)])
        return RawDataset(tuple(items), self._listed(names), books.close(), tuple(warnings))

    def _splits(self, paths: Sequence[PurePath]) -> dict[str, SplitName]:
        """The folders that are splits, by their names."""
        with_folders = {path.parts[0] for path in paths if len(path.parts) > 2}
        return {
            name: split
            for name in sorted(with_folders)
            if name not in self._classes and (split := split_word(name)) is not None
        }

    def _check_layout(self, paths: Sequence[PurePath], images: Sequence[_Image], splits: Collection[str]) -> None:
        """Refuse folders of which nobody can tell what the classes are.

        Raises:
            MissingSourceError: the line says what lies where, and what should.
        """
        root, labels = self._root, {each.label for each in images}
        if not paths:
            raise MissingSourceError(f"{root} holds no images", "name a folder with a folder of images for each class")
        if not images:
            raise MissingSourceError(
                f"the {len(paths)} images of {root} lie in no folder of a class ({paths[0]})",
                "put each into a folder named by its class, or list them in a table (dataset.source: csv)",
            )
        if labels <= _NO_CLASSES:
            raise MissingSourceError(
                f"the images of {root} lie in folders called {' and '.join(sorted(labels))}: these are no classes",
                "set dataset.source to what lists their labels: csv, coco, label-studio, or yolo for boxes",
            )
        if not splits and all(map(split_word, labels)) and not labels & set(self._classes):
            raise MissingSourceError(
                f"{' and '.join(sorted(labels))} in {root} hold images, and no folders of classes",
                "put the images into a folder for each class, or list their labels in a table (dataset.source: csv)",
            )
        beside = [path for path in paths if len(path.parts) > 1 and not split_word(path.parts[0])] if splits else []
        if len(beside) >= len(images):
            raise MissingSourceError(
                f"{' and '.join(sorted(splits))} in {root} look like splits, but {len(beside)} images lie beside them "
                f"({beside[0]})",
                "move these into the splits, or list the classes in dataset.classes if no folder is a split",
            )
        for split in sorted(splits) or [""]:
            inside = [each for each in images if not split or each.path.parts[0] == split]
            listed = {each.label for each in inside} & set(self._classes)
            if inside and not listed and all(each.depth for each in inside):
                raise MissingSourceError(
                    f"no image lies directly in a folder of {root / split}: {inside[0].path} is the first",
                    "name the folder whose folders are the classes, or the splits; else list the classes "
                    "in dataset.classes",
                )

    def _account_folders(self, images: Sequence[_Image], splits: dict[str, SplitName], books: Books) -> None:
        """Enter the folders of classes and splits; those without images are left out."""
        filled = {each.path.parts[: 2 if splits else 1] for each in images}
        for name in _folder_names(self._root):
            if splits and name not in splits:
                if split_word(name):
                    books.find(_SPLITS)
                    books.leave_out(_SPLITS, "without folders of classes", name, "put its images into such folders")
                continue
            if splits:
                books.find(_SPLITS)
                books.use(_SPLITS)
            for inner in _folder_names(self._root / name) if splits else [""]:
                parts = (name, inner) if inner else (name,)
                books.find(_FOLDERS)
                if parts in filled:
                    books.use(_FOLDERS)
                else:
                    books.leave_out(_FOLDERS, "without images", "/".join(parts), "fill it, or remove it")

    def _listed(self, found: Sequence[str]) -> tuple[str, ...]:
        """The classes in their order.

        Raises:
            DamagedFileError: the list of classes lacks one, or is no text.
        """
        path = self._root / CLASSES
        if not path.is_file():
            return tuple(found)
        try:
            lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
        except UnicodeDecodeError:
            raise DamagedFileError(f"{path} is not UTF-8 text", "write it again") from None
        names = tuple(dict.fromkeys(line for line in lines if line))
        if not self._classes and (unlisted := [name for name in found if name not in names]):
            raise DamagedFileError(f"{path} does not list {', '.join(unlisted)}", "add them, or remove the folders")
        return names


def _begins_as_image(path: Path) -> bool:
    with path.open("rb") as file:
        return identify(file.read(64)) is not None


def _images(paths: Sequence[PurePath], splits: dict[str, SplitName], books: Books) -> Iterator[_Image]:
    """The images that lie in the folder of a class; the others are left out."""
    for path in paths:
        first, above = path.parts[0], len(path.parts) - 1
        if above == 0:
            hint = "put it into the folder of its class"
            books.leave_out(IMAGE_FILES, "outside the folders of classes", path, hint)
        elif not splits:
            yield _Image(path, first, None, above - 1)
        elif first in splits and above > 1:
            yield _Image(path, path.parts[1], splits[first], above - 2)
        elif split_word(first):
            hint = "put each into the folder of its class"
            books.leave_out(IMAGE_FILES, "in the folder of a split, and of no class", path, hint)
        else:
            hint = f"move them into a split ({', '.join(splits)}) if they belong to the dataset"
            books.leave_out(IMAGE_FILES, "beside the splits", path, hint)


def _folder_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not is_system_name(path.name))


def _warnings(images: Sequence[_Image], like_splits: Sequence[str]) -> Iterator[str]:
    """What may be meant in another way."""
    if deeper := [each for each in images if each.depth]:
        labels = ", ".join(f"{number} of {name}" for name, number in Counter(each.label for each in deeper).items())
        yield (
            f"{len(deeper)} images lie deeper than the folder of their class "
            f"({few([each.path.as_posix() for each in deeper])}): they count for it ({labels})"
        )
    for name in like_splits:
        yield f"{name} is taken for a class: it is called like a split, and holds images, not folders of classes"
