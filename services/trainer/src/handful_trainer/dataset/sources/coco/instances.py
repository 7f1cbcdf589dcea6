"""One of COCO's JSON files: its images, annotations and categories."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from handful_trainer.dataset.accounts import ANNOTATION_RECORDS, OF_UNLISTED_IMAGE, Books
from handful_trainer.dataset.errors import AnnotationError, DamagedFileError
from handful_trainer.dataset.sources.base import RawBox
from handful_trainer.dataset.sources.coco.shapes import read_box
from handful_trainer.dataset.sources.fields import (
    IN_SHARES,
    PIXELS_HINT,
    expect_object,
    expect_text,
    is_in_shares,
    json_type,
    shares_among,
)

CATEGORIES, IMAGE_RECORDS = "categories", "image records"
GIVEN_TWICE = "given twice"
_SHAPES = frozenset({"bbox", "segmentation"})
_SIDES = ("width", "height")
_WHOLE = re.compile(r"[+-]?\d{1,18}(\.0*)?")
_HINT = "correct it, or export it again"
_MAX_NAME = 1000

Id = int | str
"""Ids that mean the same number are equal: 1, 1.0 and "1"."""


class ImageRecord(NamedTuple):
    """An image that the file lists."""

    id: Id
    name: str
    """Its file_name, with slashes."""
    size: tuple[int, int] | None
    """Width and height that the record states."""


class InstancesFile:
    """Images, annotations and categories, checked as they are read.

    Args:
        path: the file.
        content: what it holds.

    Raises:
        DataError: it is damaged; the line names the image.
    """

    def __init__(self, path: Path, content: Any) -> None:
        self.path = path
        if not isinstance(content, dict):
            raise DamagedFileError(f"{path} holds {json_type(content)}, not COCO's object", "export it again")
        self._images = self._list(content, "images")
        self._annotations = self._list(content, "annotations")
        self._categories = [self._category(value) for value in self._list(content, "categories")]

    @property
    def is_unlabelled(self) -> bool:
        """Does it list images, and no annotation at all?"""
        return bool(self._images) and not self._annotations

    @cached_property
    def classifies(self) -> bool:
        """Do its annotations say what whole images show? Such a one has no bbox and no segmentation, not even empty."""
        found = self._annotations
        return bool(found) and not any(isinstance(each, dict) and _SHAPES & each.keys() for each in found)

    def images(self, books: Books) -> list[ImageRecord]:
        """The images that it lists, each once.

        Raises:
            AnnotationError: a record is damaged, or two images have one id.
        """
        found: dict[Id, ImageRecord] = {}
        books.find(IMAGE_RECORDS, len(self._images))
        for record in self._records():
            first = found.setdefault(record.id, record)
            if first is record:
                continue
            if first.name != record.name:
                where = f"{self.path}, image {record.name}"
                raise AnnotationError(f"{where}: its id {record.id} is used twice", _HINT)
            books.leave_out(IMAGE_RECORDS, GIVEN_TWICE, record.name)
        return list(found.values())

    @cached_property
    def root(self) -> Id | None:
        """The category that is the supercategory of all others, as Roboflow writes it; None without one."""
        others = Counter(above for _, _, above in self._categories)
        for category, name, above in self._categories:
            if len(self._categories) > 1 and above != name and others[name] == len(self._categories) - 1:
                return category
        return None

    @cached_property
    def owned(self) -> frozenset[Id]:
        """Categories that annotations have."""
        ids = (annotation.get("category_id") for annotation in self._annotations if isinstance(annotation, dict))
        return frozenset(found for value in ids if (found := _reference(value)) is not None)

    def categories(self, *, without_root: bool, books: Books) -> dict[Id, str]:
        """Class name by category id, in the order of the ids.

        Args:
            without_root: leave out the root category.
            books: the accounts.

        Raises:
            DamagedFileError: two categories have one id or one name.
        """
        books.find(CATEGORIES, len(self._categories))
        names: dict[Id, str] = {}
        for category, name, _ in self._categories:
            if without_root and category == self.root:
                books.leave_out(CATEGORIES, "that only group others", name)
            elif names.get(category) == name:
                books.leave_out(CATEGORIES, GIVEN_TWICE, name)
            elif category in names or name in names.values():
                raise DamagedFileError(f"{self.path} has two categories with one id or name", "correct its categories")
            else:
                names[category] = name
                books.use(CATEGORIES)
        return dict(sorted(names.items(), key=lambda item: (isinstance(item[0], str), item[0])))

    def boxes(
        self, images: Mapping[Id, ImageRecord], left_out: Mapping[Id, str], categories: Mapping[Id, str], books: Books
    ) -> dict[Id, list[RawBox]]:
        """The boxes by image id.

        Args:
            images: the images that are used.
            left_out: names of those that are not.
            categories: class name by category id.
            books: the accounts.

        Raises:
            AnnotationError: a record is damaged, or half of the boxes are in another unit than pixels.
        """
        books.find(ANNOTATION_RECORDS, len(self._annotations))
        boxes: dict[Id, list[RawBox]] = {image_id: [] for image_id in images}
        for image_id, annotation in self._of_listed(images, left_out, books):
            if box := self._box(images[image_id], annotation, categories, books):
                boxes[image_id].append(box)
        return self._in_pixels(images, boxes, books)

    def labels(
        self, images: Mapping[Id, ImageRecord], left_out: Mapping[Id, str], categories: Mapping[Id, str], books: Books
    ) -> dict[Id, list[str]]:
        """The classes of whole images by image id, for a file that `classifies`; arguments as for `boxes`.

        Raises:
            AnnotationError: a record is damaged.
        """
        books.find(ANNOTATION_RECORDS, len(self._annotations))
        labels: dict[Id, list[str]] = {image_id: [] for image_id in images}
        for image_id, annotation in self._of_listed(images, left_out, books):
            where = f"{self.path}, image {images[image_id].name}"
            category = read_id(where, "category_id", annotation.get("category_id"))
            labels[image_id].append(categories.get(category, f"category {category}"))
            books.use(ANNOTATION_RECORDS)
        return labels

    def _of_listed(
        self, images: Mapping[Id, ImageRecord], left_out: Mapping[Id, str], books: Books
    ) -> Iterator[tuple[Id, dict[str, Any]]]:
        """The annotations of images that are used; the others are left out."""
        for annotation in self._annotations:
            image_id = _reference(expect_object(f"{self.path}, annotations", annotation).get("image_id"))
            if image_id is not None and image_id in images:
                yield image_id, annotation
            elif image_id is not None and image_id in left_out:
                books.leave_out(ANNOTATION_RECORDS, "of an image that is left out", left_out[image_id])
            else:
                hint = "the file's images have no such id"
                books.leave_out(ANNOTATION_RECORDS, OF_UNLISTED_IMAGE, f"image_id {image_id}", hint)

    def _box(
        self, image: ImageRecord, annotation: dict[str, Any], categories: Mapping[Id, str], books: Books
    ) -> RawBox | None:
        where = f"{self.path}, image {image.name}"
        category = read_id(where, "category_id", annotation.get("category_id"))
        box = read_box(where, categories.get(category, f"category {category}"), annotation, image.size)
        if box is None:
            hint = "give each a bbox or a segmentation, or remove it: its image shows more than it says now"
            books.leave_out(ANNOTATION_RECORDS, "without a box or an outline", image.name, hint)
        return box

    def _in_pixels(
        self, images: Mapping[Id, ImageRecord], boxes: Mapping[Id, list[RawBox]], books: Books
    ) -> dict[Id, list[RawBox]]:
        """The boxes without those in shares of the image.

        Raises:
            AnnotationError: half of them are so.
        """
        every = [(image_id, box) for image_id, found in boxes.items() for box in found]

        def refuse(position: int, number: str) -> AnnotationError:
            image_id, box = every[position]
            numbers = f"{box.x:g}, {box.y:g}, {box.width:g}, {box.height:g}"
            what = f"bbox is in shares of the image ({numbers}), {number}, not in pixels"
            return AnnotationError(f"{self.path}, image {images[image_id].name}: {what}", PIXELS_HINT)

        shares = shares_among([box for _, box in every], refuse)
        for position in shares:
            books.leave_out(ANNOTATION_RECORDS, IN_SHARES, images[every[position][0]].name, PIXELS_HINT)
        books.use(ANNOTATION_RECORDS, len(every) - len(shares))
        if not shares:
            return dict(boxes)
        return {image_id: [box for box in found if not is_in_shares(box)] for image_id, found in boxes.items()}

    def _records(self) -> Iterator[ImageRecord]:
        for position, image in enumerate(self._images):
            where = f"{self.path}, image {position + 1}"
            name = expect_text(where, "file_name", expect_object(where, image).get("file_name")).replace("\\", "/")
            if not name.isprintable() or name.rsplit("/", 1)[-1] in {"", ".", ".."} or len(name) > _MAX_NAME:
                raise AnnotationError(f"{where}: file_name {name[:60]!r} names no file", _HINT)
            image_id = read_id(f"{self.path}, image {name}", "id", image.get("id"))
            yield ImageRecord(image_id, name, _size(image))

    def _category(self, value: Any) -> tuple[Id, str, str]:
        """Id, name, and the category above it."""
        where = f"{self.path}, categories"
        category = read_id(where, "id", expect_object(where, value).get("id"))
        above = value.get("supercategory")
        return category, expect_text(where, "name", value.get("name")), above if isinstance(above, str) else ""

    def _list(self, content: dict[str, Any], key: str) -> list[Any]:
        value = content.get(key)
        if not isinstance(value, list):
            raise DamagedFileError(f"{self.path} has no list of {key}", "name a COCO instances file")
        return value


def read_id(where: str, key: str, value: Any) -> Id:
    """An id: a whole number, also written as a text or with a point, or else a text.

    Raises:
        AnnotationError: it is neither.
    """
    if type(value) is int:
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and (text := value.strip()):
        return int(text.partition(".")[0]) if _WHOLE.fullmatch(text) else text
    raise AnnotationError(f"{where}: {key} is not a whole number, nor a text", _HINT)


def _reference(value: Any) -> Id | None:
    """The id that an annotation refers to, None if it is none."""
    if type(value) is int:
        return value
    try:
        return read_id("", "", value)
    except AnnotationError:
        return None


def _size(image: dict[str, Any]) -> tuple[int, int] | None:
    sides = [int(side) if isinstance(side, float) and side.is_integer() else side for side in map(image.get, _SIDES)]
    width, height = (side if type(side) is int and side > 0 else None for side in sides)
    return (width, height) if width and height else None
