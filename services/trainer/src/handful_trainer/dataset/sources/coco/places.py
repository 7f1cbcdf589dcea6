"""In which folder the images of one of COCO's JSON files lie."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePath, PurePosixPath
from typing import NamedTuple

from handful_core.folders import is_system_name
from handful_trainer.dataset.accounts import few
from handful_trainer.dataset.errors import AnnotationError, MissingSourceError
from handful_trainer.dataset.sources.base import SplitName
from handful_trainer.dataset.sources.coco.files import split_of
from handful_trainer.dataset.sources.images import ImageFolder, plain_name

_BESIDE_IMAGES = frozenset({"coco", "json", "jsons", "label", "labels"})
"""Folders of JSON files that lie beside those of the images, as those that begin with `annot` do."""


class Place(NamedTuple):
    """A folder with the files of some names."""

    folder: Path
    paths: dict[str, list[Path]]
    """By name: one where it is clear, none where it is missing, several where it is ambiguous."""
    searched: bool = False
    """Were files looked for that lie deeper than their names say?"""

    @property
    def number(self) -> int:
        """How many of the names have a file here."""
        return sum(map(bool, self.paths.values()))


class ImagePlaces:
    """Looks where COCO, Roboflow, CVAT, Label Studio and FiftyOne put images.

    Args:
        root: the dataset's folder or file.
        images: the folder that the settings name for images, if they do.
    """

    def __init__(self, root: Path, images: Path | None) -> None:
        self._root = root
        self._images = images

    def find(self, file: Path, split: SplitName | None, names: Sequence[str]) -> Place:
        """The folder that a JSON file's images lie in: its own one, or one below it, before those above it.

        Args:
            file: the JSON file.
            split: the split that it says.
            names: what it calls its images.

        Raises:
            MissingSourceError: none of them is where it should be.
            AnnotationError: two folders have images of these names.
        """
        if not names:
            return Place(file.parent, {})
        split = split or split_of(PurePath(file.name))
        groups = self._groups(file, split)
        best = _best(file, groups, names)
        if best is None:
            return self._search(file, groups, split, names)
        if best.number == len(names) or not self._is_searched(best.folder, file):
            return best
        return Place(best.folder, _located(best.folder, split, names), searched=True)

    def may_lie_outside(self, file: Path) -> bool:
        """May images of a JSON file lie outside of the dataset's folder?"""
        return any(not base.is_relative_to(self._root) for base in self._bases(file))

    def _bases(self, file: Path) -> list[Path]:
        """Folders that images are looked for in. What lies above a file's folder may belong to another dataset."""
        if self._images:
            return [self._images]
        own, above = file.parent, file.parent.parent
        name = own.name.lower()
        beside = name.startswith("annot") or name in _BESIDE_IMAGES or above.is_relative_to(self._root)
        return [own, above] if beside else [own]

    def _groups(self, file: Path, split: SplitName | None) -> list[list[Path]]:
        """Folders of equal rank, by rank: those that are named like the file or its split, then those of any file."""
        if self._images:  # It may be meant itself, or be that of several files.
            return [[self._images, *_named(self._images, file, split)]] if self._images.is_dir() else []
        groups: list[list[Path]] = []
        for base in self._bases(file):
            usual = [folder for folder in (base, base / "images", base / "data") if folder.is_dir()]
            groups += [[named for place in usual for named in _named(place, file, split)], usual]
        return groups

    def _is_searched(self, folder: Path, file: Path) -> bool:
        """May images lie deeper in it than their names say? A folder above the file may hold anything."""
        return folder == self._images or folder != file.parent.parent

    def _search(self, file: Path, groups: list[list[Path]], split: SplitName | None, names: Sequence[str]) -> Place:
        for folder in (folder for group in groups for folder in reversed(group)):
            if not self._is_searched(folder, file):
                continue
            place = Place(folder, _located(folder, split, names), searched=True)
            if place.number:
                return place
        if self._images:
            raise MissingSourceError(
                f"none of the {len(names)} images of {file} is below {self._images}: {names[0]} is the first",
                "correct dataset.images",
            )
        raise MissingSourceError(
            f"the {len(names)} images of {file} ({few(names)}) are in none of the usual places",
            "set dataset.images to their folder",
        )


def _named(place: Path, file: Path, split: SplitName | None) -> Iterator[Path]:
    """The folder that is named like the file, else those that are named after its split."""
    with os.scandir(place) as entries:
        folders = sorted(entry.name for entry in entries if not is_system_name(entry.name) and entry.is_dir())
    named = plain_name(file.stem.removeprefix("instances_"))
    like_file = [name for name in folders if plain_name(name) == named]
    like_split = [name for name in folders if split and split_of(PurePath(name)) == split]
    return (place / name for name in like_file or like_split)


def _best(file: Path, groups: Iterable[list[Path]], names: Sequence[str]) -> Place | None:
    """Of the first folders that have half of the images the one that has most; else the one that has any.

    Raises:
        AnnotationError: two have half of them.
    """
    first: Place | None = None
    for group in groups:
        places = [Place(folder, ImageFolder(folder, search=False).locate(names)) for folder in group]
        places.sort(key=lambda place: -place.number)
        rivals = [place for place in places if place.number * 2 >= len(names)]
        if len(rivals) > 1 and (other := _other(rivals)):
            raise AnnotationError(
                f"the images of {file} may be those in {rivals[0].folder} or those in {other.folder}",
                "set dataset.images to the folder that is meant, or move the other one away",
            )
        if rivals:
            return rivals[0]
        if places and places[0].number and (first is None or places[0].number > first.number):
            first = places[0]
    return first


def _other(rivals: Sequence[Place]) -> Place | None:
    """Another place than the first that has other files under the same names."""
    first = rivals[0].paths
    for place in rivals[1:]:
        for name, paths in place.paths.items():
            if paths and first[name] and not paths[0].samefile(first[name][0]):
                return place
    return None


def _located(folder: Path, split: SplitName | None, names: Sequence[str]) -> dict[str, list[Path]]:
    """Files below a folder, without those in folders of other splits, unless the name says so."""
    found = ImageFolder(folder).locate(names)
    return {
        name: [path for path in paths if not _is_of_other_split(path.relative_to(folder), split, name)]
        for name, paths in found.items()
    }


def _is_of_other_split(path: Path, split: SplitName | None, name: str) -> bool:
    if split is None:
        return False
    said = set(map(str.lower, PurePosixPath(name.replace("\\", "/")).parts[:-1]))
    others = (part for part in path.parts[:-1] if part.lower() not in said)
    return any(found not in {None, split} for found in map(split_of, map(PurePath, others)))
