"""The dataset source `yolo`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from handful_core.folders import is_system_name, outermost, real_path, walk_files
from handful_trainer.dataset.accounts import IMAGE_FILES, LEFT_BY_SYSTEM, Books, few
from handful_trainer.dataset.errors import AnnotationError, EmptyDatasetError
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
from handful_trainer.dataset.sources.yolo.folder import YoloFolder, open_yolo_folder
from handful_trainer.dataset.sources.yolo.label_files import LabelFiles, below, label_path
from handful_trainer.dataset.sources.yolo.labels import Row, RowReader, is_share, read_rows, unit_of

_ROWS, _LINES, _SPLITS = "label lines", "list lines", "splits"
_BOX = 4
"""Numbers of a box behind its class."""


class _Labelled(NamedTuple):
    """An image with the lines of its label file."""

    image: Path
    file: Path | None
    rows: tuple[Row, ...] = ()


class YoloSource:
    """Reads a YOLO folder. The splits that it has are kept; an image without a label file shows nothing."""

    def __init__(self, config: DatasetConfig, home: Path) -> None:
        del home
        self._config = config

    def roots(self) -> tuple[Path, ...]:
        """data.yaml, and each split's images and labels."""
        folder = self._folder
        lists = [place for places in folder.splits.values() for place in places if not place.is_dir()]
        return tuple(dict.fromkeys([folder.description, *folder.others, *lists, *self._places]))

    def read(self) -> RawDataset:
        """All images with their boxes."""
        books, folder = Books(), self._folder
        splits, doubled = _split_images(folder, books)
        self._account_images(splits, books)
        labels = LabelFiles(folder, self._places, sorted(splits))
        found = [_with_rows(image, labels.of(image)) for image in sorted(splits)]
        unlabelled = [each.image for each in found if each.file is None]
        labels.account(books, unlabelled)
        self._check_labelled(found, unlabelled)
        items = tuple(self._items(found, splits, books))
        warnings = (*_folder_warnings(folder), *_warnings(doubled, labels.shared))
        return RawDataset(items, folder.names, books.close(), warnings)

    @cached_property
    def _folder(self) -> YoloFolder:
        return open_yolo_folder(self._config.path or Path(), self._config.classes)

    @cached_property
    def _places(self) -> list[Path]:
        """Folders in which images and labels of this dataset lie; none lies in another."""
        folder = self._folder
        places = [place for places in folder.splits.values() for place in places]
        named = {place for place in places if place.is_dir()}
        listed = (
            each.path.parent for place in places if place not in named for each in folder.listed(place) if each.path
        )
        above = {wide for place in {*named, *listed} for wide in _widened(place, folder.root)}
        whole = [folder.root] if folder.description.is_dir() else _parts(folder.root)
        return outermost(map(real_path, {*above, *whole}))

    def _account_images(self, splits: dict[Path, SplitName], books: Books) -> None:
        """Enter all image files; those that no split names are left out."""
        data, system = set(splits), list[Path]()
        for place in self._places:
            found = walk_files(place, IMAGE_SUFFIXES)
            data |= set(found.data)
            system += found.system
        books.find(IMAGE_FILES, len(data) + len(system))
        books.use(IMAGE_FILES, len(splits))
        for path in system:
            books.leave_out(IMAGE_FILES, LEFT_BY_SYSTEM, path.name)
        hint = f"name their folder in {self._folder.description.name} if they belong to the dataset"
        for path in sorted(data - splits.keys()):
            books.leave_out(IMAGE_FILES, "named by no split", below(path, self._folder.root), hint)

    def _check_labelled(self, found: Iterable[_Labelled], unlabelled: list[Path]) -> None:
        """Refuse a dataset in which no image has a label file.

        Raises:
            EmptyDatasetError: the line says where they were looked for.
        """
        if unlabelled and not any(each.file for each in found):
            image = unlabelled[0]
            raise EmptyDatasetError(
                f"none of the {len(unlabelled)} images has a label file: that of {image} would be {label_path(image)}",
                "put the label files into labels beside images, or beside the images",
            )

    def _items(self, found: list[_Labelled], splits: dict[Path, SplitName], books: Books) -> Iterator[RawItem]:
        """The items, in the order of their images' paths."""
        reader = RowReader(self._config.label_rows, self._folder.keypoints)
        reader.check((each.file, row) for each in found if each.file for row in each.rows if len(row.values) > _BOX)
        _check_shares(found, self._folder.root, books)
        ids, names = AssetIds(), self._folder.names
        for image, file, rows in found:
            asset_id = ids.assign(below(image, self._folder.root))
            boxes = tuple([reader.box(file, row, names) for row in rows if is_share(row)]) if file else ()
            yield RawItem(
                asset_id, image, image.name, ACCEPTED, boxes=boxes, split=splits[image], relative=True
            )  # fmt: skip


def _folder_warnings(folder: YoloFolder) -> Iterator[str]:
    """What lies beside data.yaml and says something else."""
    described = folder.description.name
    for path in folder.contradicted:
        yield f"{below(path, folder.root)} lists other classes than {described}, which counts: see whether it is right"
    if unread := folder.unread_lists:
        names = few([str(below(path, folder.root)) for path in unread])
        yield f"{names} list images, and {described} does not name them: name them there if they are the splits"


def _split_images(folder: YoloFolder, books: Books) -> tuple[dict[Path, SplitName], list[Path]]:
    """The split of each image, and the images that two splits name: such a one belongs to the first."""
    splits: dict[Path, SplitName] = {}
    doubled: list[Path] = []
    for split, places in folder.splits.items():
        before, seen = len(splits), set[Path]()
        for place in places:
            if not place.is_dir():
                _account_lines(folder, place, splits, seen, books)
        images = folder.images(split)
        doubled += [image for image in images if splits.setdefault(image, split) != split]
        books.find(_SPLITS)
        if len(splits) > before:
            books.use(_SPLITS)
        else:
            hint = "an image belongs to the first split that names it" if images else ""
            books.leave_out(_SPLITS, "without images of their own", split, hint)
    for key in folder.other_splits:
        books.find(_SPLITS)
        books.leave_out(_SPLITS, "of an unknown name", key, "call it train, val or test, or its images are left out")
    return splits, doubled


def _warnings(doubled: list[Path], shared: list[str]) -> Iterator[str]:
    if shared:
        yield f"{len(shared)} images share their label files ({few(shared)}): the names differ in their suffixes alone"
    if doubled:
        names = few([image.name for image in doubled])
        yield f"{len(doubled)} images are named by two splits ({names}): each belongs to the first"


def _account_lines(
    folder: YoloFolder, place: Path, splits: Mapping[Path, SplitName], seen: set[Path], books: Books
) -> None:
    """Enter the lines of a list of images.

    Args:
        folder: the dataset.
        place: the list.
        splits: the images of the splits before.
        seen: images of the split that were listed before; this list's are added.
        books: the accounts.

    Raises:
        EmptyDatasetError: none of them leads anywhere.
    """
    listed = folder.listed(place)
    books.find(_LINES, len(listed))
    for each in listed:
        if each.path is None:
            hint = f"correct {place.name}: its paths begin at {place.parent}, or at path: of data.yaml"
            books.leave_out(_LINES, "that lead nowhere", each.line, hint)
        elif not each.is_image:
            books.leave_out(_LINES, "that name no image", each.line)
        elif each.path in seen:
            books.leave_out(_LINES, "given twice", each.line)
        else:
            seen.add(each.path)
            if each.path in splits:
                books.leave_out(_LINES, "that another split has", each.line)
            else:
                books.use(_LINES)
    if listed and not any(each.is_image for each in listed):
        raise EmptyDatasetError(
            f"none of the {len(listed)} lines of {place} leads to an image: {listed[0].line!r} was looked for "
            f"below {place.parent}" + (f" and {folder.root}" if folder.root != place.parent else ""),
            "correct the list, or path: in data.yaml",
        )


def _check_shares(found: list[_Labelled], root: Path, books: Books) -> None:
    """Enter all lines of label files; those whose numbers are no shares of the image are left out.

    Raises:
        AnnotationError: half of them are none.
    """
    rows = [(each.file, row) for each in found for row in each.rows]
    books.find(_ROWS, len(rows))
    far = [(file, row) for file, row in rows if not is_share(row)]
    books.use(_ROWS, len(rows) - len(far))
    unit = unit_of(row for _, row in far)
    if len(far) * 2 >= max(1, len(rows)):
        file, row = far[0]
        raise AnnotationError(
            f"{len(far)} of {len(rows)} label lines are in {unit} ({file}, line {row.line}: "
            f"{', '.join(f'{value:g}' for value in row.values[:_BOX])}), not in shares of the image from 0 to 1",
            "divide them by the image's width and height, or export the labels again",
        )
    for file, row in far:
        hint = "divide them by the image's width and height"
        where = below(file, root) if file else ""
        books.leave_out(_ROWS, "that are no shares of the image", f"{where}, line {row.line}", hint)


def _with_rows(image: Path, file: Path | None) -> _Labelled:
    return _Labelled(image, file, read_rows(file) if file else ())


def _widened(place: Path, root: Path) -> Iterator[Path]:
    """A folder of images, with the whole tree of images that it is in and that of their labels, inside `root`."""
    yield place
    for above in (place, *place.parents):
        if not above.is_relative_to(root) or above == root:
            break
        if above.name.lower() == "images":
            yield above
            yield from (sibling for sibling in above.parent.iterdir() if sibling.name.lower() == "labels")
            return
    labels = label_path(place / "any.jpg").parent
    if labels.is_dir():
        yield labels


def _parts(root: Path) -> Iterator[Path]:
    """Folders of `root` that look like parts of a dataset: what they hold should be named somewhere."""
    for folder in root.iterdir():
        if folder.is_dir() and not is_system_name(folder.name):
            names = {child.name.lower() for child in folder.iterdir()}
            if folder.name.lower() in {"images", "labels"} or split_word(folder.name) or {"images", "labels"} & names:
                yield folder
