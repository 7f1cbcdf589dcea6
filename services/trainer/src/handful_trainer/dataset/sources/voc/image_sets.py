"""Which split an image is in: the lists in ImageSets/Main."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from handful_core.folders import walk_files
from handful_trainer.dataset.accounts import LEFT_BY_SYSTEM, NO_SPLIT, OUTSIDE_IMAGE_SETS, UNKNOWN_LIST, Books
from handful_trainer.dataset.errors import DamagedFileError, EmptyDatasetError
from handful_trainer.dataset.sources.base import IMAGE_SUFFIXES, SplitName, split_word, without_year
from handful_trainer.dataset.sources.images import nearest, plain_name

LIST_FILES, LIST_LINES = "list files", "list lines"
_TEXT = frozenset({".txt"})
_BOTH = "trainval"
_WHOLE = frozenset({"default", "all"})
"""Lists of all images."""
_FLAG = re.compile(r"(.*\S)\s+(?:-1|0|1)")
"""VOC's lists of one class say behind each name whether it shows one."""


class _List(NamedTuple):
    path: Path
    split: SplitName | None
    """None for trainval."""


class ImageSets:
    """The splits that lists say.

    Args:
        folder: the dataset.
        files: its XML files.
        books: the accounts.

    Raises:
        DataError: a list is no text, or none of its lines names an XML file.
    """

    def __init__(self, folder: Path, files: Sequence[Path], books: Books) -> None:
        self._files = files
        self._by_stem = defaultdict[str, list[Path]](list)
        for path in files:
            self._by_stem[plain_name(path.stem)].append(path)
        self.splits: dict[Path, SplitName] = {}
        lists = list(_lists(folder, books))
        stated = {each.split for each in lists if each.split}
        self.any = bool(lists)
        """Is there a list that says splits?"""
        for each in sorted(lists, key=lambda each: (_ORDER.index(each.split), each.path)):
            if each.split is None and {"train", "val"} <= stated:
                books.leave_out(LIST_FILES, "that join two splits", each.path.name)
                continue
            books.use(LIST_FILES)
            # What is not in the one is in the other; without either, val is taken from train later.
            self._read(each.path, each.split or ("val" if "train" in stated else "train"), books, rest=not each.split)

    def _read(self, path: Path, split: SplitName, books: Books, *, rest: bool) -> None:
        lines, found = _lines(path), set[Path]()
        books.find(LIST_LINES, len(lines))
        for line in lines:
            meant = self._meant(line, path)
            if len(meant) != 1:
                reason = "that may mean several XML files" if meant else "that name no XML file"
                books.leave_out(LIST_LINES, reason, line, f"correct {path.name}, or see where its XML files are")
                continue
            if meant[0] in found:
                books.leave_out(LIST_LINES, "given twice", line)
            elif meant[0] in self.splits:
                hint = "" if rest else f"remove it from a list: it stays in {self.splits[meant[0]]}"
                books.leave_out(LIST_LINES, "that another list has", line, hint)
            else:
                books.use(LIST_LINES)
                self.splits[meant[0]] = split
            found.add(meant[0])
        if lines and not found:
            raise EmptyDatasetError(
                f"none of the {len(lines)} lines of {path} names an XML file: {lines[0]!r} is the first",
                "correct the list, or see where the XML files are",
            )

    def _meant(self, line: str, path: Path) -> list[Path]:
        """The XML files that a line may mean; those beside the list's ImageSets, if there are some."""
        for name in _names(line):
            found = self._by_stem.get(plain_name(name.name), [])
            found = [file for file in found if file.stem == name.name] or found
            root = next((above.parent for above in path.parents if above.name.lower() == "imagesets"), path.parent)
            found = [file for file in found if file.is_relative_to(root)] or found
            if found:
                return nearest(found, name.parts[:-1])
        return []


_ORDER: tuple[SplitName | None, ...] = ("train", "val", "test", None)
"""An image that two lists name belongs to the first."""


def _lists(folder: Path, books: Books) -> Iterator[_List]:
    """The lists that say splits; all others are left out."""
    found = walk_files(folder, _TEXT)
    for path in found.system:
        if "imagesets" in map(str.lower, path.relative_to(folder).parts):
            books.find(LIST_FILES)
            books.leave_out(LIST_FILES, LEFT_BY_SYSTEM, path.name)
    for path in found.data:
        above = [part.lower() for part in path.relative_to(folder).parts[:-1]]
        stem = without_year(path.stem)
        is_split = stem == _BOTH or split_word(stem) is not None
        if "imagesets" not in above and not is_split:
            continue
        if "imagesets" not in above and above:
            books.find(LIST_FILES)
            hint = "move it into ImageSets/Main if it says the splits"
            books.leave_out(LIST_FILES, OUTSIDE_IMAGE_SETS, path.relative_to(folder).as_posix(), hint)
            continue
        books.find(LIST_FILES)
        of_other_task = bool(above) and above[-1] not in {"imagesets", "main"}
        last = stem.rpartition("_")[2]
        of_class = (last == _BOTH or split_word(last) is not None) and not is_split
        if of_other_task or of_class or stem in _WHOLE:
            books.leave_out(LIST_FILES, NO_SPLIT, path.relative_to(folder))
        elif is_split:
            yield _List(path, split_word(stem))
        else:
            books.leave_out(LIST_FILES, UNKNOWN_LIST, path.name, "call it train, val or test if it is a split")


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DamagedFileError(f"{path} is not UTF-8 text", "save it as UTF-8") from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def _names(line: str) -> Iterator[PurePosixPath]:
    """What a line may name, without suffix: all of it, what stands before a flag, or the XML file behind an image."""
    yield _name(line)
    if flagged := _FLAG.fullmatch(line):
        yield _name(flagged[1])
    *_, last = line.split()
    if last != line and last.lower().endswith(".xml"):
        yield _name(last)


def _name(text: str) -> PurePosixPath:
    path = PurePosixPath(text.replace("\\", "/"))
    return path.with_suffix("") if path.suffix.lower() in {*IMAGE_SUFFIXES, ".xml"} else path
