"""A folder for each class below one for each split, as torchvision, timm and Ultralytics read it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from handful_trainer.dataset.errors import DamagedFileError, MissingSourceError
from handful_trainer.dataset.sources.base import IMAGE_SUFFIXES, SplitName, split_word
from handful_trainer.tasks.label_format import OpenedFolder

_DROPPINGS = (".", "@", "__")
"""How folders begin that systems leave behind."""
_OTHER_LAYOUTS = {"images", "labels"}
"""Folders below a split that belong to datasets with boxes."""
CLASSES = "classes.txt"
"""Names of the classes in their order, a line each; without it they are in the order of their names."""


def looks_like(path: Path) -> bool:
    """Does a folder have splits with folders of images in them, and nothing that says otherwise?"""
    folders = [folder for split in _splits(path).values() for folder in _class_folders(split)]
    if any(folder.name in _OTHER_LAYOUTS for folder in folders) or any(path.glob("*.y*ml")):
        return False
    return any(_images(folder) for folder in folders)


def open_folder(path: Path) -> OpenedFolder:
    """Read which classes and images there are.

    Raises:
        DataError: there is no such folder, or a class of its list has none.
    """
    root = path.resolve()
    splits = _splits(root)
    if not splits:
        raise MissingSourceError(
            f"{path} has no folders called train, val or test", "name a folder with classes in them"
        )
    found = sorted({folder.name for split in splits.values() for folder in _class_folders(split)})
    classes = _listed(root) or tuple(found)
    if unlisted := [name for name in found if name not in classes]:
        raise DamagedFileError(
            f"{root / CLASSES} does not list {', '.join(unlisted)}", "add them, or remove the folders"
        )
    return OpenedFolder(root, root, classes)


def count_images(root: Path) -> dict[str, int]:
    """Images of each split that it has."""
    sizes = {name: _count(split) for name, split in _splits(root).items()}
    return {name: images for name, images in sizes.items() if images}


def read_split(root: Path, split: SplitName, classes: Sequence[str]) -> Iterator[tuple[Path, int]]:
    """The images of a split with their class ids, class by class, each in the order of their names."""
    for folder in _class_folders(_splits(root)[split]):
        for image in _images(folder):
            yield image, classes.index(folder.name)


def split_folders(root: Path, split: str) -> list[Path]:
    """The folders of a split: valid and Val are both val. There may be none."""
    return [folder for name, folders in _splits(root).items() if name == split for folder in folders]


def is_whole(root: Path, splits: Mapping[str, int]) -> bool:
    """Are all images still there?"""
    there: Mapping[str, list[Path]] = dict(_splits(root).items())
    return all(_count(there.get(name, [])) >= images for name, images in splits.items())


def is_folder_name(name: str) -> bool:
    """Can a class have a folder of its own, on any system, that is not taken for a system's dropping?"""
    if name.startswith(_DROPPINGS) or name.endswith((" ", ".")) or not name.isprintable():
        return False
    return not any(character in name for character in '/\\:*?"<>|')


def write_classes(folder: Path, classes: Sequence[str]) -> None:
    """Write the list of classes."""
    (folder / CLASSES).write_text("".join(f"{name}\n" for name in classes), encoding="utf-8", newline="\n")


def _splits(root: Path) -> dict[SplitName, list[Path]]:
    """The folders of each split; valid and Val are both val."""
    if not root.is_dir():
        return {}
    found: dict[SplitName, list[Path]] = {}
    for path in _folders(root):
        if split := split_word(path.name):
            found.setdefault(split, []).append(path)
    return found


def _folders(path: Path) -> list[Path]:
    return sorted(inner for inner in path.iterdir() if inner.is_dir() and not inner.name.startswith(_DROPPINGS))


def _class_folders(split: Iterable[Path]) -> list[Path]:
    return sorted((inner for folder in split for inner in _folders(folder)), key=lambda path: path.name)


def _count(split: Iterable[Path]) -> int:
    return sum(len(_images(folder)) for folder in _class_folders(split))


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())


def _listed(root: Path) -> tuple[str, ...]:
    try:
        return tuple(line for line in (root / CLASSES).read_text(encoding="utf-8-sig").splitlines() if line)
    except FileNotFoundError:
        return ()
    except UnicodeDecodeError:
        raise DamagedFileError(f"{root / CLASSES} is not UTF-8 text", "write it again") from None
