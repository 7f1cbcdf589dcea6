"""The dataset source `voc`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from handful_core.folders import outermost, real_path, walk_files
from handful_trainer.dataset.accounts import LEFT_BY_SYSTEM, Books, few
from handful_trainer.dataset.errors import AnnotationError, MissingSourceError, check_folder
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import ACCEPTED, AssetIds, RawDataset, RawItem, SplitName, split_word
from handful_trainer.dataset.sources.fields import IN_SHARES, PIXELS_HINT, is_in_shares, shares_among
from handful_trainer.dataset.sources.images import OF_AMBIGUOUS_NAME, ImageFolder, account_images, plain_name
from handful_trainer.dataset.sources.voc.annotation import VocFile, read_voc_file
from handful_trainer.dataset.sources.voc.image_sets import ImageSets

_XML = frozenset({".xml"})
_XML_FILES, _OBJECTS = "XML files", "objects"
_ANNOTATIONS = "annotations"
_IMAGE_FOLDERS = frozenset({"jpegimages", "images"})
"""Names of the folders that images lie in, in lower case."""
_AMBIGUOUS = "give one of them another name, or write its name into <filename>"


class _Described(NamedTuple):
    """An XML file, and the images that it may mean."""

    path: Path
    file: VocFile
    images: list[Path]

    @property
    def contradicts(self) -> bool:
        """Does it name another image than the one that is called like itself?"""
        stem, named = plain_name(self.path.stem), plain_name(self.file.name)
        beside = any(stem in {plain_name(image.stem), plain_name(image.name)} for image in self.images)
        return bool(named) and beside and stem not in {named, PurePosixPath(named).stem}


class _Closeness(NamedTuple):
    """How near an image lies to an XML file; the greater the nearer."""

    same: bool
    """Are the folders the same, but for those that every dataset has?"""
    among_images: bool
    """Does it lie in a folder of images, and the one's folders are in the other's?"""
    common: int
    """How many folders they have in common, counted from the last."""


class VocSource:
    """Reads a folder with Annotations/ and JPEGImages/, or with XML files beside the images.

    Splits come from ImageSets/Main/{train,val,test}.txt, or from folders of these names. Nobody looked at an image that
    has no XML file: it is counted, and not used. One whose file names no object shows nothing.
    """

    def __init__(self, config: DatasetConfig, home: Path) -> None:
        del home
        self._folder = real_path(config.path or Path())
        self._images = real_path(config.images) if config.images else None
        self._near: dict[tuple[Path, Path], _Closeness] = {}
        self._contrary: dict[tuple[Path, Path], bool] = {}

    def roots(self) -> tuple[Path, ...]:
        """The folder, and that of the images if it is another."""
        check_folder(self._folder, "dataset.path")
        if self._images:
            check_folder(self._images, "dataset.images")
        return (self._folder, *([self._images] if self._images else []))

    def read(self) -> RawDataset:
        """All images that have an XML file, with their boxes."""
        self.roots()
        books = Books()
        files = self._xml_files(books)
        sets = ImageSets(self._folder, files, books)
        index = ImageFolder(self._images or self._folder)
        described = [self._describe(path, index) for path in files]
        _check_pixels(described)
        items = tuple(self._items(described, sets, books))
        self._account_images(described, items, index, books)
        return RawDataset(items, accounts=books.close(), warnings=tuple(_warnings(described, items, sets)))

    def _xml_files(self, books: Books) -> list[Path]:
        """The XML files; those in folders called Annotations, if there are some."""
        found = walk_files(self._folder, _XML)
        if not found.data:
            raise MissingSourceError(f"{self._folder} has no XML files", "name a folder in Pascal VOC's layout")
        books.find(_XML_FILES, len(found.data) + len(found.system))
        for path in found.system:
            books.leave_out(_XML_FILES, LEFT_BY_SYSTEM, path.name)
        folders = {path.parent for path in found.data}
        inside = {folder for folder in folders if _ANNOTATIONS in map(str.lower, self._below(folder).parts)} or folders
        for path in found.data if inside != folders else ():
            if path.parent not in inside:
                hint = "move it into Annotations if it belongs to the dataset"
                books.leave_out(_XML_FILES, "outside Annotations", self._below(path), hint)
        return [path for path in found.data if path.parent in inside]

    def _below(self, path: Path) -> PurePosixPath:
        """A path as seen from the dataset's folder, or from that of the images if it lies there."""
        inside = path.is_relative_to(self._folder) or not self._images
        return PurePosixPath(path.relative_to(self._folder if inside else self._images or self._folder).as_posix())

    def _describe(self, path: Path, index: ImageFolder) -> _Described:
        """An XML file with the image of its own name, else the one that it names."""
        file = read_voc_file(path)
        own = self._likely(path, index.with_stem(path.stem) or index.called(path.stem), index)
        if len(own) > 1:
            own = [image for image in own if plain_name(image.name) == plain_name(file.name)] or own
            own = [image for image in own if image.name == PurePosixPath(file.name).name] or own
        return _Described(path, file, own or (self._likely(path, index.called(file.name), index) if file.name else []))

    def _likely(self, path: Path, images: Sequence[Path], index: ImageFolder) -> list[Path]:
        """Those of some images that may be an XML file's: the nearest one, or several if none is nearer."""
        near = {
            image: self._closeness(path.parent, image.parent)
            for image in images
            if not self._is_contrary(path.parent, image.parent, index)
        }
        possible = {
            image: place
            for image, place in near.items()
            if self._images or image.parent == path.parent or place.same or place.among_images
        }
        nearest = max(possible.values(), default=None)
        return [image for image, place in possible.items() if place == nearest]

    def _is_contrary(self, folder: Path, images: Path, index: ImageFolder) -> bool:
        if (folder, images) not in self._contrary:
            self._contrary[folder, images] = self._contradict(folder, images, index)
        return self._contrary[folder, images]

    def _contradict(self, folder: Path, images: Path, index: ImageFolder) -> bool:
        """Do the folders of an XML file and of an image name different splits, or different parts of the dataset?

        They do if the last folder of the XML file is among those of images, and the image lies in another.
        """
        one, other = _plain_parts(self._below(folder)), _plain_parts(self._below(images))
        if one[: len(other)] == other[: len(one)] or one[-1] == other[-1]:
            return False
        splits = {split_word(part) for part in one} - {None}, {split_word(part) for part in other} - {None}
        if all(splits) and splits[0].isdisjoint(splits[1]):
            return True
        return any(_plain_parts(self._below(known))[-1:] == one[-1:] for known in index.folders)

    def _closeness(self, folder: Path, images: Path) -> _Closeness:
        """How near a folder of images is to one of XML files."""
        if (folder, images) not in self._near:
            self._near[folder, images] = _closeness(self._below(folder), self._below(images))
        return self._near[folder, images]

    def _items(self, described: Sequence[_Described], sets: ImageSets, books: Books) -> Iterator[RawItem]:
        """The items, in the order of their XML files.

        Raises:
            AnnotationError: two files describe one image.
        """
        ids, seen = AssetIds(), dict[Path, Path]()
        for path, file, images in described:
            books.find(_OBJECTS, file.objects)
            for _ in range(file.deleted):
                books.leave_out(_OBJECTS, "marked as deleted", path.name)
            if len(images) > 1:
                books.leave_out(_XML_FILES, OF_AMBIGUOUS_NAME, path.name, _AMBIGUOUS)
                for _ in file.boxes:
                    books.leave_out(_OBJECTS, "of an image that is left out", path.name)
                continue
            image = images[0] if images else None
            if image is not None and (other := seen.setdefault(image, path)) is not path:
                raise AnnotationError(f"{path} describes {image.name}, as {other} does", "remove one of them")
            books.use(_XML_FILES)
            boxes = tuple(box for box in file.boxes if not is_in_shares(box))
            books.use(_OBJECTS, len(boxes))
            for _ in range(len(file.boxes) - len(boxes)):
                books.leave_out(_OBJECTS, IN_SHARES, path.name, PIXELS_HINT)
            below = PurePosixPath(self._below(path).as_posix().replace("Annotations/", ""))
            split = sets.splits.get(path) or _folder_split(below)
            name = image.name if image else file.name or path.name
            yield RawItem(ids.assign(below), image, name, ACCEPTED, boxes, split, size=file.size)

    def _account_images(
        self, described: Sequence[_Described], items: Sequence[RawItem], index: ImageFolder, books: Books
    ) -> None:
        used = {item.path for item in items if item.path}
        doubtful = {image: _AMBIGUOUS for each in described if len(each.images) > 1 for image in each.images}
        lost = {image for each in described if not each.images for image in index.with_stem(each.path.stem)}
        hint = "write an annotation for it, even an empty one"
        elsewhere = "it has an XML file, which lies elsewhere: set dataset.images to its folder"
        other = "an XML file of its name lies in a folder of another name: move one of them if they belong together"
        hints = dict.fromkeys(lost, other if self._images else elsewhere)
        places = outermost([self._folder, *([self._images] if self._images else [])])
        account_images(books, places, used, lambda image: hints.get(image, hint), doubtful)


def _check_pixels(described: Sequence[_Described]) -> None:
    """Refuse boxes in shares of the image.

    Raises:
        AnnotationError: half of them are so.
    """
    boxes = [(each.path, box) for each in described for box in each.file.boxes]

    def refuse(position: int, number: str) -> AnnotationError:
        path, box = boxes[position]
        sides = f"{box.x:g}, {box.y:g}, {box.x + box.width:g}, {box.y + box.height:g}"
        what = f"the sides of a box are shares of the image ({sides}), {number}, not pixels"
        return AnnotationError(f"{path}: {what}", PIXELS_HINT)

    shares_among([box for _, box in boxes], refuse)


def _closeness(folder: PurePosixPath, images: PurePosixPath) -> _Closeness:
    where, plain = _plain_parts(folder), _plain_parts(images)
    pairs = zip(reversed(where), reversed(plain), strict=False)
    common = next((number for number, (one, other) in enumerate(pairs) if one != other), min(len(where), len(plain)))
    among_images = not _IMAGE_FOLDERS.isdisjoint(map(str.lower, images.parts))
    fits = where[: len(plain)] == plain[: len(where)]
    return _Closeness(plain == where, among_images and fits, common)


def _plain_parts(folder: PurePosixPath) -> list[str]:
    """The parts of a folder's path, without those that every dataset has, in lower case."""
    return [plain_name(part) for part in folder.parts if part.lower() not in {_ANNOTATIONS, *_IMAGE_FOLDERS}]


def _folder_split(below: PurePosixPath) -> SplitName | None:
    return next(filter(None, map(split_word, below.parts[:-1])), None)


def _warnings(described: Sequence[_Described], items: Sequence[RawItem], sets: ImageSets) -> Iterator[str]:
    """What was read in another way than it is written."""
    if missing := [item.name for item in items if item.path is None]:
        yield f"{len(missing)} images have no file ({few(missing)}): see where they lie, or set dataset.images"
    if other := [f"{each.path.name} names {each.file.name}" for each in described if each.contradicts]:
        yield f"{len(other)} XML files name another image than the one of their own name, which is taken ({few(other)})"
    if swapped := {each.path.name: each.file.swapped for each in described if each.file.swapped}:
        yield f"{sum(swapped.values())} boxes had their sides the wrong way round and were turned ({few([*swapped])})"
    unlisted = [each.path.name for each in described if sets.any and each.path not in sets.splits]
    if unlisted:
        yield f"{len(unlisted)} XML files are in no list of ImageSets ({few(unlisted)}): they are shared out"
