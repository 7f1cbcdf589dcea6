"""COCO: JSON files of images, annotations and categories, with the images beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from handful_trainer.dataset.accounts import ANNOTATION_RECORDS, OF_UNLISTED_IMAGE, Books
from handful_trainer.dataset.errors import AnnotationError, DamagedFileError, MissingSourceError
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import ACCEPTED, SPLIT_WORDS, AssetIds, RawBox, RawDataset, RawItem, SplitName
from handful_trainer.dataset.sources.fields import (
    bounding_box,
    expect_number,
    expect_object,
    expect_text,
    json_type,
    read_json,
)

_PROBED_IMAGES = 50


class CocoSource:
    """Reads one instances file, or all of a folder; files named by a split (instances_val2017.json) keep it."""

    def __init__(self, config: DatasetConfig, home: Path) -> None:
        del home
        self._path = config.path or Path()
        self._images = config.images

    def roots(self) -> tuple[Path, ...]:
        """The JSON files and the folder that holds the images."""
        files = self._files()
        if self._images or self._path.is_dir():
            return (*files, self._images or self._path)
        names = list(InstancesFile(files[0]).file_names())
        folder = _find_image_folder(files[0], names, None)
        return (*files, *dict.fromkeys((folder / name).parent for name in names))

    def read(self) -> RawDataset:
        """All images with their boxes."""
        files, books = self._files(), Books()
        ids, items, names = AssetIds(), list[RawItem](), dict[str, None]()
        for file in files:
            reader = InstancesFile(file)
            names |= dict.fromkeys(reader.categories.values())
            split = _split_of(file.relative_to(self._path)) if len(files) > 1 else None
            folder = self._images or _find_image_folder(file, list(reader.file_names()), split)
            items += reader.items(folder, ids, split, books)
        return RawDataset(tuple(items), classes=tuple(names), accounts=books.close())

    def _files(self) -> list[Path]:
        if self._path.is_file():
            return [self._path]
        if not self._path.is_dir():
            raise MissingSourceError(f"{self._path} does not exist", "correct dataset.path")
        patterns = ("*.json", "annotations/*.json", "*/_annotations.coco.json")
        found = sorted(path for pattern in patterns for path in self._path.glob(pattern))
        chosen = [path for path in found if path.name.startswith("instances")] or found
        if not chosen:
            raise MissingSourceError(f"{self._path} has no COCO file", "name the instances JSON file itself")
        return chosen


def _split_of(file: Path) -> SplitName | None:
    """The split that a whole word of the file's name says, else its folder in the dataset; a year may follow."""
    words = [*re.split(r"[\W_]+", file.stem), file.parent.name]
    plain = (word.lower().rstrip("0123456789") for word in words)
    return next((SPLIT_WORDS[word] for word in plain if word in SPLIT_WORDS), None)


def _image_folders(file: Path, split: SplitName | None) -> list[Path]:
    """Where the images of a file may lie, in the layouts of COCO, Roboflow, CVAT and Label Studio."""
    above = file.parent.parent
    named = file.stem.removeprefix("instances_")
    splits = [above / "images" / split, above / split] if split else []
    return [
        file.parent / "images",
        above / named,
        above / "images" / named,
        *splits,
        above / "images",
        file.parent,
        above,
    ]


def _find_image_folder(file: Path, names: Sequence[str], split: SplitName | None) -> Path:
    """The first folder that holds one of the first images."""
    first = names[:_PROBED_IMAGES]
    for folder in _image_folders(file, split):
        if any((folder / name).is_file() for name in first):
            return folder
    if not first:
        return file.parent
    raise MissingSourceError(
        f"the images of {file} are in none of the usual places", "set dataset.images to their folder"
    )


class InstancesFile:
    """Images, annotations and categories, checked as they are read.

    Args:
        path: the file.

    Raises:
        DataError: the file is missing or damaged; the line names the image.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        content = read_json(path, "images, annotations and categories")
        if not isinstance(content, dict):
            raise DamagedFileError(f"{path} holds {json_type(content)}, not COCO's object", "export it again")
        self._images = self._list(content, "images")
        self._annotations = self._list(content, "annotations")
        categories = [self._category(value) for value in self._list(content, "categories")]
        self.categories = dict(sorted(categories))
        """Class name by category id, in the order of the ids."""
        if len(set(self.categories.values())) != len(categories):
            raise DamagedFileError(f"{path} has two categories with one id or name", "correct its categories")

    def file_names(self) -> Iterator[str]:
        """Each image's file_name."""
        for position, image in enumerate(self._images):
            where = f"{self._path}, image {position + 1}"
            yield _relative(where, expect_object(where, image).get("file_name"))

    def items(self, folder: Path, ids: AssetIds, split: SplitName | None, books: Books) -> list[RawItem]:
        """Each image with its boxes.

        Args:
            folder: where the images lie.
            ids: gives the assets their ids.
            split: the side that all of them are on, if the file says so.
            books: the accounts.
        """
        found: dict[int, RawItem] = {}
        for image, name in zip(self._images, self.file_names(), strict=True):
            where = f"{self._path}, image {name}"
            image_id = _integer(where, "id", image.get("id"))
            if image_id in found:
                raise AnnotationError(f"{where}: its id {image_id} is used twice", "correct it, or export it again")
            asset_id = ids.assign(PurePosixPath(split or "", name))
            path = folder / name if (folder / name).is_file() else None
            size = image.get("width"), image.get("height")
            stated = (size[0], size[1]) if isinstance(size[0], int) and isinstance(size[1], int) else None
            found[image_id] = RawItem(asset_id, path, name, ACCEPTED, split=split, size=stated)
        boxes = self._boxes(found, books)
        return [item._replace(boxes=tuple(boxes[image_id])) for image_id, item in found.items()]

    def _boxes(self, found: Mapping[int, RawItem], books: Books) -> dict[int, list[RawBox]]:
        """The boxes by image id."""
        books.find(ANNOTATION_RECORDS, len(self._annotations))
        boxes: dict[int, list[RawBox]] = {image_id: [] for image_id in found}
        for annotation in self._annotations:
            image_id = expect_object(f"{self._path}, annotations", annotation).get("image_id")
            if isinstance(image_id, int) and image_id in found:
                boxes[image_id].append(self._box(f"{self._path}, image {found[image_id].name}", annotation))
                books.use(ANNOTATION_RECORDS)
            else:
                hint = "the file's images have no such id"
                books.leave_out(ANNOTATION_RECORDS, OF_UNLISTED_IMAGE, f"image_id {image_id}", hint)
        return boxes

    def _box(self, where: str, annotation: dict[str, Any]) -> RawBox:
        box = annotation.get("bbox")
        category = _integer(where, "category_id", annotation.get("category_id"))
        label = self.categories.get(category, f"category {category}")
        if not box and isinstance(annotation.get("segmentation"), list) and annotation["segmentation"]:
            return bounding_box(label, list(_points(where, annotation["segmentation"])))
        if not isinstance(box, list) or len(box) != 4:
            raise AnnotationError(f"{where}: bbox is no list of four numbers", "correct it, or export it again")
        x, y, width, height = (expect_number(where, "bbox", value) for value in box)
        return RawBox(label, x, y, width, height, "crowd" if annotation.get("iscrowd") else "box")

    def _category(self, value: Any) -> tuple[int, str]:
        where = f"{self._path}, categories"
        return _integer(where, "id", expect_object(where, value).get("id")), expect_text(
            where, "name", value.get("name")
        )

    def _list(self, content: dict[str, Any], key: str) -> list[Any]:
        value = content.get(key)
        if not isinstance(value, list):
            raise DamagedFileError(f"{self._path} has no list of {key}", "name a COCO instances file")
        return value


def _integer(where: str, key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise AnnotationError(f"{where}: {key} is no whole number", "correct it, or export it again")
    return value


def _points(where: str, segmentation: list[Any]) -> Iterator[tuple[float, float]]:
    """The points of an object's polygons: it may have several parts, each a list of x and y by turns."""
    for part in segmentation:
        if not isinstance(part, list) or len(part) % 2:
            raise AnnotationError(f"{where}: segmentation is no list of points", "correct it, or export it again")
        values = [expect_number(where, "segmentation", value) for value in part]
        yield from zip(values[::2], values[1::2], strict=True)


def _relative(where: str, value: Any) -> str:
    name = expect_text(where, "file_name", value).replace("\\", "/")
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not name.isprintable():
        raise AnnotationError(
            f"{where}: file_name {name!r} is no plain relative path", "correct it, or export it again"
        )
    return name
