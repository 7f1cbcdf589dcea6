"""The files below a folder, without what operating systems and tools leave there."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

_SYSTEM = frozenset(
    {"__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found", "thumbs.db",
     "desktop.ini"}
)  # fmt: skip
"""In lower case. macOS and Synology put folders with copies of images beside the images."""


class FoundFiles(NamedTuple):
    """Files with one of some suffixes, sorted by path."""

    data: list[Path]
    system: list[Path]
    """Those that systems and tools left: they are no data."""


def is_system_name(name: str) -> bool:
    """Is a file or folder with this name left by an operating system or a tool? All hidden ones are."""
    return name.startswith(".") or name.lower() in _SYSTEM


def walk_files(folder: Path, suffixes: Collection[str]) -> FoundFiles:
    """All files below a folder whose suffix is one of `suffixes` (in lower case), links followed.

    A folder that is named like a file is a folder. The folder itself may have any name.

    Raises:
        OSError: a folder cannot be read.
    """
    found = FoundFiles([], [])
    for path, by_system in _walk(os.fspath(folder), by_system=False, above=frozenset()):
        if os.path.splitext(path)[1].lower() in suffixes:  # noqa: PTH122 - a Path is slow to make
            (found.system if by_system else found.data).append(Path(path))
    found.data.sort()
    found.system.sort()
    return found


def list_files(folder: Path) -> list[str]:
    """Names of the files in one folder, without what systems left; empty if there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if not is_system_name(entry.name) and not entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def real_path(path: Path) -> Path:
    """The path without links and steps upwards, by which folders can be compared. A file that is a link stays one."""
    return path.resolve() if path.is_dir() else path.parent.resolve() / path.name


def outermost(folders: Iterable[Path]) -> list[Path]:
    """Those of the folders that exist and lie in none of the others."""
    found: list[Path] = []
    for folder in sorted({folder for folder in folders if folder.is_dir()}):
        if not found or not folder.is_relative_to(found[-1]):
            found.append(folder)
    return found


def _walk(folder: str, *, by_system: bool, above: frozenset[tuple[int, int]]) -> Iterator[tuple[str, bool]]:
    state = os.stat(folder)  # noqa: PTH116
    here = (state.st_dev, state.st_ino)
    if here in above:
        return  # A link to a folder above it.
    with os.scandir(folder) as entries:
        for entry in entries:
            left = by_system or is_system_name(entry.name)
            if is_folder(entry):
                yield from _walk(entry.path, by_system=left, above=above | {here})
            else:
                # A pipe or a socket is no data; a link that leads nowhere should have been some.
                yield entry.path, left or not (_is_file(entry) or entry.is_symlink())


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Is it a folder, or a link to one?"""
    try:
        return entry.is_dir()
    except OSError:  # A link to itself.
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # A link to itself.
        return False
