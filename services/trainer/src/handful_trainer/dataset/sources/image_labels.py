"""Labels of whole images that a list gives by the images' names, as tables and labelling tools write them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from handful_core.folders import outermost
from handful_trainer.dataset.accounts import Books, few
from handful_trainer.dataset.errors import AnnotationError, MissingSourceError
from handful_trainer.dataset.sources.base import ACCEPTED, NO_ANNOTATION, AssetIds, RawItem, SplitName
from handful_trainer.dataset.sources.images import (
    OF_AMBIGUOUS_NAME,
    ImageFolder,
    account_images,
    is_elsewhere,
    plain_path,
)

GIVEN_TWICE = "given twice"
WITHOUT_IMAGE = "without an image"
_UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")
"""What Label Studio puts before the name of a file that is uploaded."""
_AMBIGUOUS = "several files have this name, or several entries mean this file: write their folders into the name"


class ImageEntry(NamedTuple):
    """What a list says of an image."""

    where: str
    """The entry, for error lines: labels.csv, line 7."""
    image: str
    """The image as the list names it; empty if it names none."""
    labels: tuple[str, ...]
    split: SplitName | None = None
    group: str = ""
    status: str = ACCEPTED


class FoundImages(NamedTuple):
    """The files that the names in a list mean."""

    folder: Path
    """Where they were found."""
    paths: Mapping[str, list[Path]]
    """By name: one where it is clear, none where it is missing, several where it is ambiguous."""

    @property
    def number(self) -> int:
        """How many names lead to one file."""
        return sum(len(paths) == 1 for paths in self.paths.values())


def find_images(names: Iterable[str], beside: Path, given: Path | None) -> FoundImages:
    """Find images by names with or without folders and suffix.

    Args:
        names: as the list has them.
        beside: the list's folder: the images lie in it, in `images` there or deeper.
        given: the folder to look in instead (dataset.images).
    """
    wanted = list(dict.fromkeys(names))
    folders = [given] if given else [beside, beside / "images"]
    best = FoundImages(folders[0], {})
    for folder in folders:
        found = FoundImages(folder, {name: [path] for name in wanted if (path := ImageFolder(folder).exact(name))})
        if found.number == len(wanted):
            return found
        best = max(best, found, key=lambda each: each.number)
    return _locate(best.folder, wanted)


def _locate(place: Path, names: Sequence[str]) -> FoundImages:
    """Find them in a folder or deeper, in capitals or not, without suffix, or as they were called before an upload."""
    folder = ImageFolder(place)
    found = folder.locate(names)
    lost = {name: plain for name in names if not found[name] and (plain := _as_before_upload(name))}
    taken = {path for paths in found.values() for path in paths}
    again = folder.locate(dict.fromkeys(lost.values()))
    meant = Counter(lost.values())
    for name, plain in lost.items():
        if meant[plain] == 1:
            found[name] = [path for path in again[plain] if path not in taken]
    for name in [name for name in names if not found[name] and plain_path(name).name == name]:
        found[name] = folder.called(name)  # The other name of a file that is listed already.
    return FoundImages(folder.folder, found)


def _as_before_upload(name: str) -> str:
    last = plain_path(name.replace("\\", "/")).name
    plain = _UPLOADED.sub("", last)
    return plain if plain != last else ""


def items_of(entries: Sequence[ImageEntry], found: FoundImages, kind: str, books: Books) -> list[RawItem]:
    """The images of a list, each once.

    Args:
        entries: of the list.
        found: where the images lie.
        kind: what the entries are called, in the plural: rows.
        books: the accounts. The entries are found already.

    Raises:
        AnnotationError: two entries put an image into different splits or groups.
        MissingSourceError: no image is found.
    """
    first: dict[object, ImageEntry] = {}
    labels: dict[object, tuple[str, ...]] = {}
    for entry in entries:
        paths = found.paths.get(entry.image, [])
        if not entry.image:
            books.leave_out(kind, WITHOUT_IMAGE, entry.where, "name the image, or remove the entry")
        elif len(paths) > 1:
            books.leave_out(kind, OF_AMBIGUOUS_NAME, entry.image, _AMBIGUOUS)
        else:
            key = paths[0] if paths else plain_path(entry.image)
            known = first.setdefault(key, entry)
            if known is entry:
                books.use(kind)
                labels[key] = entry.labels
            else:
                _check_same(known, entry)
                _account_again(entry, labels[key], kind, books)
                labels[key] = tuple(dict.fromkeys([*labels[key], *entry.labels]))
    _check_found(entries, found)
    return list(_items(first, labels, found))


def _items(
    first: Mapping[object, ImageEntry], labels: Mapping[object, tuple[str, ...]], found: FoundImages
) -> Iterator[RawItem]:
    ids = AssetIds()
    for key, entry in first.items():
        path = key if isinstance(key, Path) else None
        inside = path is not None and path.is_relative_to(found.folder)
        place = path.relative_to(found.folder) if path and inside else plain_path(entry.image)
        status = entry.status if labels[key] or entry.status != ACCEPTED else NO_ANNOTATION
        name = path.name if path else place.name
        yield RawItem(
            ids.assign(place), path, name, status, split=entry.split, labels=labels[key], group=entry.group
        )  # fmt: skip


def _check_same(known: ImageEntry, entry: ImageEntry) -> None:
    for what, one, other in (("split", known.split, entry.split), ("group", known.group, entry.group)):
        if one != other:
            raise AnnotationError(
                f"{entry.where}: the image {entry.image} has the {what} {other or 'none'}, and {one or 'none'} in "
                f"{known.where}",
                "correct one of them",
            )


def _account_again(entry: ImageEntry, known: Sequence[str], kind: str, books: Books) -> None:
    if set(entry.labels) <= set(known):
        books.leave_out(kind, GIVEN_TWICE, entry.image)
    else:
        hint = "leave one of them"
        books.leave_out(kind, "that give another label to an image", f"{entry.image} ({entry.where})", hint)


def _check_found(entries: Sequence[ImageEntry], found: FoundImages) -> None:
    names = [entry.image for entry in entries if entry.image]
    if names and not any(found.paths.values()):
        raise MissingSourceError(
            f"none of the {len(names)} images ({few(names)}) is below {found.folder}",
            "set dataset.images to their folder, or correct their names",
        )


def account_files(books: Books, found: FoundImages, root: Path, unlisted: str) -> None:
    """Enter all image files, of the dataset's folder and of the folder in which images were found.

    Args:
        books: the accounts.
        found: the files.
        root: the dataset's folder.
        unlisted: what to do about a file that no entry names.
    """
    clear = {paths[0] for paths in found.paths.values() if len(paths) == 1}
    doubtful = {path: _AMBIGUOUS for paths in found.paths.values() if len(paths) > 1 for path in paths}
    account_images(books, outermost([root, found.folder]), clear, lambda _: unlisted, doubtful)


def folder_warnings(found: FoundImages) -> Iterator[str]:
    """That some files lie in other folders than the list says: they may be other pictures of the same name."""
    one = {name: paths[0] for name, paths in found.paths.items() if len(paths) == 1}
    if moved := [name for name, path in one.items() if is_elsewhere(name, path, found.folder)]:
        names = [f"{name} is {one[name].relative_to(found.folder).as_posix()}" for name in moved]
        yield f"{len(moved)} images lie in other folders than listed ({few(names)}): see whether these are the same"


def item_warnings(items: Sequence[RawItem]) -> Iterator[str]:
    """That some images have no file, or no label, or lie in the folder of another class."""
    if missing := [item.name for item in items if item.path is None]:
        yield f"{len(missing)} listed images have no file ({few(missing)}): see where they lie, or set dataset.images"
    if unlabelled := [item.name for item in items if item.status == NO_ANNOTATION]:
        yield f"{len(unlabelled)} listed images have no label ({few(unlabelled)}): they are left out"
    classes = {label for item in items for label in item.labels}
    placed = [(item.path.parent.name, item) for item in items if item.path and len(item.labels) == 1]
    if other := [(folder, item) for folder, item in placed if folder in classes - {*item.labels}]:
        names = [f"{folder}/{item.name} is {item.labels[0]}" for folder, item in other]
        yield f"{len(other)} images lie in a folder called like another class ({few(names)}): the list's word counts"


def sorted_classes(names: Iterable[str]) -> tuple[str, ...]:
    """Classes in the order of their names; numbers in that of their values."""
    every = set(names)
    return tuple(sorted(every, key=int) if all(map(str.isdecimal, every)) else sorted(every))
