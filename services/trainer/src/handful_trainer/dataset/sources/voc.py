"""Pascal VOC: an XML file for each image."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from xml.etree import ElementTree as ET

from handful_trainer.dataset.accounts import IMAGE_FILES, NOT_LISTED, Books
from handful_trainer.dataset.errors import AnnotationError, DamagedFileError, MissingSourceError
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import (
    ACCEPTED,
    IMAGE_SUFFIXES,
    SPLIT_WORDS,
    AssetIds,
    RawBox,
    RawDataset,
    RawItem,
    SplitName,
)
from handful_trainer.dataset.sources.fields import bounding_box, expect_text

_IMAGE_FOLDERS = ("JPEGImages", "images", "Images")
_SIDES = ("xmin", "ymin", "xmax", "ymax")


class VocSource:
    """Reads a folder with Annotations/ and JPEGImages/, or with XML files beside the images.

    Splits come from ImageSets/Main/{train,val,test}.txt, or from folders of these names. Nobody looked at an image that
    has no XML file: it is counted, and not used. One whose file names no object shows nothing.
    """

    def __init__(self, config: DatasetConfig, home: Path) -> None:
        del home
        self._folder, self._images = config.path or Path(), config.images

    def roots(self) -> tuple[Path, ...]:
        """The folder, and that of the images if it is another."""
        if not self._folder.is_dir():
            raise MissingSourceError(f"the folder {self._folder} does not exist", "correct dataset.path")
        if self._images and not self._images.is_dir():
            raise MissingSourceError(f"the folder {self._images} does not exist", "correct dataset.images")
        return (self._folder, *([self._images] if self._images else []))

    def read(self) -> RawDataset:
        """All images that have an XML file, with their boxes."""
        self.roots()
        ids, sets = AssetIds(), self._sets()
        items, seen = list[RawItem](), dict[Path, Path]()
        for path in self._xml_files():
            file = read_voc_file(path)
            image = self._image(path, file)
            if image is not None and (other := seen.setdefault(image, path)) is not path:
                raise AnnotationError(f"{path} describes {image.name}, as {other} does", "remove one of them")
            below = PurePosixPath(path.relative_to(self._folder).as_posix().replace("Annotations/", ""))
            split = sets.get(path.stem) or _folder_split(below)
            name = image.name if image else file.name or path.name
            asset_id = ids.assign(below)
            items.append(RawItem(asset_id, image, name, ACCEPTED, boxes=file.boxes, split=split, size=file.size))
        books, images = Books(), sorted(self._all_images())
        books.find(IMAGE_FILES, len(images))
        for image in images:
            if image in seen:
                books.use(IMAGE_FILES)
            else:
                books.leave_out(IMAGE_FILES, NOT_LISTED, image.name, "write an annotation for it, even an empty one")
        return RawDataset(tuple(items), accounts=books.close())

    def _xml_files(self) -> list[Path]:
        folder = self._folder / "Annotations"
        found = sorted((folder if folder.is_dir() else self._folder).rglob("*.xml"))
        if not found:
            raise MissingSourceError(f"{self._folder} has no XML files", "name a folder in Pascal VOC's layout")
        return found

    def _sets(self) -> dict[str, SplitName]:
        """The split by image name, as far as lists say it."""
        found: dict[str, SplitName] = {}
        for split in ("test", "val", "train"):
            path = self._folder / "ImageSets" / "Main" / f"{split}.txt"
            if path.is_file():
                words = (line.split() for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines())
                found |= {line[0]: SPLIT_WORDS[split] for line in words if line}
        return found

    def _image(self, path: Path, file: VocFile) -> Path | None:
        """The file that an XML file describes: by the name in it, else by its own."""
        for folder in self._folders(path):
            if file.name and (folder / file.name).is_file():
                return folder / file.name
        for folder in self._folders(path):
            for suffix in sorted(IMAGE_SUFFIXES):
                for candidate in (folder / f"{path.stem}{suffix}", folder / f"{path.stem}{suffix.upper()}"):
                    if candidate.is_file():
                        return candidate
        return None

    def _folders(self, path: Path) -> list[Path]:
        if self._images:
            return [self._images]
        return [*(self._folder / name for name in _IMAGE_FOLDERS), path.parent, path.parent.parent / "images"]

    def _all_images(self) -> Iterator[Path]:
        roots = [self._images] if self._images else [self._folder]
        return (path for root in roots for path in root.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)


def _folder_split(below: PurePosixPath) -> SplitName | None:
    return next((SPLIT_WORDS[part] for part in below.parts[:-1] if part in SPLIT_WORDS), None)


class VocFile(NamedTuple):
    """The content of an XML file."""

    name: str
    """The image's file name; empty if it is not given."""
    size: tuple[int, int] | None
    """Width and height that it states."""
    boxes: tuple[RawBox, ...]


def read_voc_file(path: Path) -> VocFile:
    """Read an XML file. Sides are pixels from the top left, beginning at 0; right and bottom are just outside the box.

    Raises:
        DamagedFileError: it is no XML, or not of this kind.
        AnnotationError: an object is wrong; the line names the file and the object.
    """
    content = path.read_bytes()
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise DamagedFileError(f"{path} defines entities, which no annotation needs", "export it again")
    try:
        root = ET.fromstring(content)  # noqa: S314 - without a DTD there is nothing to expand or to fetch
    except (ET.ParseError, ValueError, LookupError) as error:
        raise DamagedFileError(f"{path} is no valid XML ({error})", "export it again") from None
    if root.tag != "annotation":
        raise DamagedFileError(f"{path} holds <{root.tag}>, not Pascal VOC's <annotation>", "export it again")
    boxes = [_box(f"{path}, object {number}", found) for number, found in enumerate(root.iterfind("object"), 1)]
    return VocFile(_file_name(path, root), _size(root), tuple(boxes))


def _file_name(path: Path, root: ET.Element) -> str:
    """The image's name without folders: those of the machine that it was labelled on say nothing here."""
    name = (root.findtext("filename") or "").strip().replace("\\", "/").rsplit("/", 1)[-1]
    if name in {".", ".."} or not name.isprintable():
        raise AnnotationError(f"{path}: filename {name!r} is no name", "correct it, or export it again")
    return name


def _size(root: ET.Element) -> tuple[int, int] | None:
    width, height = (root.findtext(f"size/{side}", "").strip() for side in ("width", "height"))
    if not (width.isdecimal() and height.isdecimal()) or "0" in {width, height} or len(width + height) > 12:
        return None  # Tools that did not know it wrote 0, or nothing.
    return int(width), int(height)


def _box(where: str, found: ET.Element) -> RawBox:
    label = expect_text(where, "name", (found.findtext("name") or "").strip())
    box = found.find("bndbox")
    if box is not None:
        left, top, right, bottom = (_number(where, side, box.findtext(side)) for side in _SIDES)
        return RawBox(label, left, top, right - left, bottom - top)
    polygon = found.find("polygon")
    if polygon is None:
        raise AnnotationError(f"{where}: it has neither bndbox nor polygon", "correct it, or export it again")
    values = {side.tag: _number(where, side.tag, side.text) for side in polygon}
    points = []
    for number in range(1, len(values) // 2 + 1):
        if not {f"x{number}", f"y{number}"} <= values.keys():
            raise AnnotationError(f"{where}: its polygon has no point {number}", "correct it, or export it again")
        points.append((values[f"x{number}"], values[f"y{number}"]))
    return bounding_box(label, points)


def _number(where: str, key: str, value: str | None) -> float:
    try:
        found = float(value or "")
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        what = "missing" if not (value or "").strip() else f"{(value or '').strip()[:30]!r}, no number"
        raise AnnotationError(f"{where}: {key} is {what}", "correct it, or export it again")
    return found
