"""The dataset source `coco`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from handful_core.folders import outermost, real_path
from handful_trainer.dataset.accounts import Books, few
from handful_trainer.dataset.errors import AnnotationError
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import (
    ACCEPTED,
    AssetIds,
    RawBox,
    RawDataset,
    RawItem,
    SplitName,
    unread_splits,
)
from handful_trainer.dataset.sources.coco.files import Found, json_files, open_files, split_of
from handful_trainer.dataset.sources.coco.instances import (
    GIVEN_TWICE,
    IMAGE_RECORDS,
    Id,
    ImageRecord,
    InstancesFile,
)
from handful_trainer.dataset.sources.coco.places import ImagePlaces
from handful_trainer.dataset.sources.images import OF_AMBIGUOUS_NAME, account_images, plain_path

_AMBIGUOUS = "several files have this name, or several records mean this file: write their folders into file_name"
_UNLISTED = "list it in a JSON file if it belongs to the dataset, even without annotations"


class _Placed(NamedTuple):
    """A JSON file with the files of its images."""

    reader: InstancesFile
    split: SplitName | None
    records: list[ImageRecord]
    folder: Path
    paths: dict[str, list[Path]]
    """By file_name: one where it is clear, none where it is missing, several where it is ambiguous."""
    searched: bool
    """Were files looked for that lie deeper than their names say?"""
    said: Mapping[str, SplitName]
    """By file_name: the split that its folders say, if those of one file say several."""

    def split_of(self, record: ImageRecord) -> SplitName | None:
        """The split of an image: its file's, else what its name says."""
        return self.split or self.said.get(record.name)


class CocoSource:
    """Reads one instances file, or all of a folder; files named by a split (instances_val2017.json) keep it."""

    def __init__(self, config: DatasetConfig, home: Path) -> None:
        del home
        self._path = real_path(config.path or Path())
        self._images = real_path(config.images) if config.images else None
        self._places = ImagePlaces(self._path, self._images)

    def roots(self) -> tuple[Path, ...]:
        """The JSON files and the folders that hold the images."""
        images = [self._images] if self._images else []
        inside = self._path.is_dir() and not any(map(self._places.may_lie_outside, json_files(self._path)))
        if images or inside:
            return (self._path, *images)
        placed = [self._place(found, Books()) for found in open_files(self._path, Books())]
        searched = [each.folder for each in placed if each.searched]
        folders = outermost([*_image_folders(placed), *searched, *([self._path] if self._path.is_dir() else [])])
        return (self._path, *(folder for folder in folders if folder != self._path))

    def read(self) -> RawDataset:
        """All images with their boxes."""
        books = Books()
        placed = [self._place(found, books) for found in open_files(self._path, books)]
        dropped = not any(each.reader.root in each.reader.owned for each in placed)
        listed, names = _Listed(books), dict[str, None]()
        for each in placed:
            categories = each.reader.categories(without_root=dropped, books=books)
            names |= dict.fromkeys(categories.values())
            listed.add(each, categories)
        self._account_images(placed, books)
        items = tuple(listed.items.values())
        _check_sizes(items)
        return RawDataset(items, tuple(names), books.close(), tuple(_warnings(placed, items)))

    def _place(self, found: Found, books: Books) -> _Placed:
        """Find the images of a JSON file."""
        records = found.reader.images(books)
        names = list(dict.fromkeys(record.name for record in records))
        place = self._places.find(found.reader.path, found.split, names)
        return _Placed(found.reader, found.split, records, *place, said=_splits_in(names))

    def _account_images(self, placed: Sequence[_Placed], books: Books) -> None:
        used, doubtful = set[Path](), dict[Path, str]()
        for each in placed:
            for paths in each.paths.values():
                if len(paths) == 1:
                    used.add(paths[0])
                else:
                    doubtful |= dict.fromkeys(paths, _AMBIGUOUS)
        places = [self._path, *([self._images] if self._images else []), *_image_folders(placed)]
        account_images(books, outermost(places), used, lambda _: _UNLISTED, doubtful)


class _Listed:
    """The images of all JSON files, each once in a split."""

    def __init__(self, books: Books) -> None:
        self.items: dict[tuple[Path, SplitName | None], RawItem] = {}
        self._first: dict[Path, tuple[InstancesFile, frozenset[RawBox | str]]] = {}
        """The file that has an image first, and its boxes there."""
        self._ids = AssetIds()
        self._books = books

    def add(self, placed: _Placed, categories: Mapping[Id, str]) -> None:
        """Take in the images of a JSON file, with their boxes.

        Raises:
            AnnotationError: another file has other boxes for one of them.
        """
        clear = {record.id: record for record in placed.records if len(placed.paths[record.name]) < 2}
        doubtful = {record.id: record.name for record in placed.records if record.id not in clear}
        boxes: Mapping[Id, Sequence[RawBox]] = {}
        labels: Mapping[Id, Sequence[str]] = {}
        if placed.reader.classifies:
            labels = placed.reader.labels(clear, doubtful, categories, self._books)
        else:
            boxes = placed.reader.boxes(clear, doubtful, categories, self._books)
        for name in doubtful.values():
            self._books.leave_out(IMAGE_RECORDS, OF_AMBIGUOUS_NAME, name, _AMBIGUOUS)
        self._compare(placed, clear, labels or boxes)
        for image_id, record in clear.items():
            shown = tuple(dict.fromkeys(labels.get(image_id, ())))
            self._add(placed, record, tuple(boxes.get(image_id, ())), shown)

    def _compare(
        self, placed: _Placed, images: Mapping[Id, ImageRecord], shown: Mapping[Id, Sequence[RawBox | str]]
    ) -> None:
        """Refuse an image that another file has with other boxes or labels, in whichever split."""
        every = defaultdict[Path, list[RawBox | str]](list)
        for image_id, record in images.items():
            every[_place(placed, record)] += shown[image_id]
        for place, found in every.items():
            reader, others = self._first.setdefault(place, (placed.reader, frozenset(found)))
            if others != set(found):
                what = "labels" if placed.reader.classifies else "boxes"
                raise AnnotationError(
                    f"{placed.reader.path}, image {place.name}: {reader.path} has other {what} for it",
                    "name one of the files in dataset.path, remove the other one, or join them",
                )

    def _add(self, placed: _Placed, record: ImageRecord, boxes: tuple[RawBox, ...], labels: tuple[str, ...]) -> None:
        path = next(iter(placed.paths[record.name]), None)
        key = _place(placed, record), placed.split_of(record)
        first = self.items.get(key)
        if first is None:
            name = _name(placed.folder, record.name, path)
            asset_id = self._ids.assign(PurePosixPath(placed.split or "", name))
            self.items[key] = RawItem(
                asset_id, path, name, ACCEPTED, boxes, placed.split_of(record), size=record.size, labels=labels
            )
            self._books.use(IMAGE_RECORDS)
            return
        every = tuple(dict.fromkeys([*first.labels, *labels]))
        self.items[key] = first._replace(boxes=(*first.boxes, *boxes), labels=every)
        hint = "all boxes of an image are taken together"
        self._books.leave_out(IMAGE_RECORDS, GIVEN_TWICE, record.name, hint)


def _splits_in(names: Iterable[str]) -> dict[str, SplitName]:
    """The splits that the folders in names say: train/1.jpg and val/2.jpg. One alone says nothing."""
    said = {name: split for name in names if (split := split_of(plain_path(name.replace("\\", "/")).parent / "_"))}
    return said if len(set(said.values())) > 1 else {}


def _place(placed: _Placed, record: ImageRecord) -> Path:
    """Where an image lies, or should lie."""
    return next(iter(placed.paths[record.name]), placed.folder / plain_path(record.name))


def _name(folder: Path, name: str, path: Path | None) -> str:
    """What an image is called: as it is written, if that is where it lies."""
    if path is None or folder / name == path:
        return plain_path(name).as_posix()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name


def _image_folders(placed: Sequence[_Placed]) -> list[Path]:
    """The folders in which the images of JSON files lie."""
    found = {path.parent for each in placed for paths in each.paths.values() for path in paths}
    folders = {(each.folder, name.rpartition("/")[0]) for each in placed for name in each.paths}
    return outermost(found | {folder / plain_path(below) for folder, below in folders})


def _warnings(placed: Sequence[_Placed], items: Sequence[RawItem]) -> Iterator[str]:
    """What was read in another way than it may be meant."""
    if missing := [item.name for item in items if item.path is None]:
        yield f"{len(missing)} listed images have no file ({few(missing)}): see where they lie, or set dataset.images"
    if names := unread_splits(each.split or each.reader.path.stem for each in placed):
        yield f"the files {few(names)} look like splits and are not read as such: call them train, val and test"
    for each in placed:
        if each.reader.is_unlabelled and len(placed) > 1:
            yield f"{each.reader.path.name} lists {len(each.records)} images and no annotation: they show nothing"


def _check_sizes(items: Sequence[RawItem]) -> None:
    """Refuse boxes that are corners: most of them reach out of their images, and as corners all would fit.

    Raises:
        AnnotationError: half of the images that show something have such boxes.
    """
    corners = [item.name for item in items if _has_corners(item)]
    if corners and len(corners) * 2 > sum(bool(item.boxes) for item in items):
        raise AnnotationError(
            f"image {corners[0]}: its boxes reach out of it, and would fit as left, top, right, bottom, as those of "
            f"{len(corners)} images do",
            "write COCO's bbox: left, top, width and height",
        )


def _has_corners(item: RawItem) -> bool:
    """Do all boxes of an image fit as corners, and one of them not as left, top, width and height?"""
    if not item.boxes or not item.size:
        return False
    width, height = item.size
    fit = all(box.x < box.width <= width and box.y < box.height <= height for box in item.boxes)
    return fit and any(box.x + box.width > width + 1 or box.y + box.height > height + 1 for box in item.boxes)
