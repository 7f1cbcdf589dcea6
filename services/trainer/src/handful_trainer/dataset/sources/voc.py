"""Pascal VOC: an XML file for each image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from handful_trainer.dataset.errors import AnnotationError, MissingSourceError
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.asset_ids import AssetIds
from handful_trainer.dataset.sources.base import ACCEPTED, SPLIT_WORDS, RawDataset, RawItem, SplitName
from handful_trainer.dataset.sources.voc_file import VocFile, read_voc_file
from handful_trainer.dataset.sources.yolo_folder import SUFFIXES

_IMAGE_FOLDERS = ("JPEGImages", "images", "Images")


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
            items.append(RawItem(ids.of(below), image, name, ACCEPTED, file.boxes, split, size=file.size))
        return RawDataset(tuple(items), files_without_asset=sum(image not in seen for image in self._all_images()))

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
            for suffix in sorted(SUFFIXES):
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
        return (path for root in roots for path in root.rglob("*") if path.suffix.lower() in SUFFIXES)


def _folder_split(below: PurePosixPath) -> SplitName | None:
    return next((SPLIT_WORDS[part] for part in below.parts[:-1] if part in SPLIT_WORDS), None)
