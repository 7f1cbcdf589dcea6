"""Image files that annotations name as another machine called them: with its folders, in its case, as a URL."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from handful_core.folders import walk_files
from handful_trainer.dataset.accounts import IMAGE_FILES, LEFT_BY_SYSTEM, NOT_LISTED, Books
from handful_trainer.dataset.sources.base import IMAGE_SUFFIXES

OF_AMBIGUOUS_NAME = "of an ambiguous name"
"""Reason: several files may be meant, or several entries mean one file."""
_MASKS = frozenset({"segmentationclass", "segmentationobject"})
"""Folders of pictures that are annotations, in lower case."""


class ImageFolder:
    """A folder in which images are looked for.

    Args:
        folder: it.
        search: whether images may lie deeper than their names say, or be called in capitals. The whole folder is then
            listed once.
    """

    def __init__(self, folder: Path, *, search: bool = True) -> None:
        self.folder = folder
        self._search = search

    def exact(self, name: str) -> Path | None:
        """The file that a name leads to, as it is written or without what URLs and other systems add."""
        found = (self.folder / plain for plain in _spellings(name))
        return next((path for path in found if os.path.isfile(path)), None)  # noqa: PTH113 - Path raises at long names

    def locate(self, names: Iterable[str]) -> dict[str, list[Path]]:
        """The files that each of the names may mean: one where it is clear, none where it is missing.

        A name whose folders are not here is found by its last part, if one file alone has it, and no other name means
        that file. Of several the one wins that has the most of the name's folders. Where other names lead to files in
        folders, folders tell files apart: the file then lies in the last of the name's folders, or in none.
        """
        found = {name: [path] if (path := self.exact(name)) else [] for name in dict.fromkeys(names)}
        missing = [name for name, paths in found.items() if not paths]
        if not missing or not self._search:
            return found
        taken = {path for paths in found.values() for path in paths}
        telling = any(path.parent != self.folder for path in taken)
        meant = defaultdict[Path, list[str]](list)
        for name in missing:
            found[name] = self._nearest(name, taken, telling=telling)
            for path in found[name]:
                meant[path].append(name)
        for path, rivals in meant.items():
            for name in rivals if len(rivals) > 1 else ():
                found[name] = [*found[name], path]  # Two entries mean it: neither can be trusted.
        return found

    def _nearest(self, name: str, taken: set[Path], *, telling: bool) -> list[Path]:
        for plain in _spellings(name):
            candidates = [path for path in self.called(plain.name) if path not in taken]
            if telling and len(plain.parts) > 1:
                candidates = [p for p in candidates if p.parent == self.folder or _lies_in(p, plain.parent.name)]
            if candidates:
                return nearest(candidates, plain.parts[:-1])
        return []

    @cached_property
    def folders(self) -> frozenset[Path]:
        """Those that images lie in."""
        return frozenset(path.parent for path in self._files)

    def called(self, name: str) -> list[Path]:
        """Files with this name, in capitals or not, its accents composed or not.

        If it has no suffix of an image, with any.
        """
        plain = plain_name(name)
        exact = [path for path in self._by_name.get(plain, []) if path.name == name]
        found = exact or self._by_name.get(plain, [])
        return found or ([] if PurePosixPath(plain).suffix in IMAGE_SUFFIXES else self.with_stem(name))

    def with_stem(self, stem: str) -> list[Path]:
        """Images with this name before their suffix, in capitals or not, its accents composed or not."""
        found = self._by_stem.get(plain_name(stem), [])
        return [path for path in found if path.stem == stem] or found

    @cached_property
    def _by_name(self) -> Mapping[str, list[Path]]:
        found = defaultdict[str, list[Path]](list)
        for path in self._files:
            found[plain_name(path.name)].append(path)
        return found

    @cached_property
    def _by_stem(self) -> Mapping[str, list[Path]]:
        found = defaultdict[str, list[Path]](list)
        for path in self._files:
            found[plain_name(path.stem)].append(path)
        return found

    @cached_property
    def _files(self) -> list[Path]:
        files = walk_files(self.folder, IMAGE_SUFFIXES).data if self.folder.is_dir() else []
        masks = masks_among(files, self.folder)
        return [path for path in files if path not in masks] if masks else files


def nearest(candidates: Iterable[Path], folders: Iterable[str]) -> list[Path]:
    """The candidate that lies in the most of some folders, counted from the last; several if none wins."""
    wanted = [plain_name(folder) for folder in folders]
    ranked = defaultdict[int, list[Path]](list)
    for path in candidates:
        ranked[_common(wanted, [plain_name(part) for part in path.parent.parts])].append(path)
    return ranked[max(ranked)] if ranked else []


def _lies_in(path: Path, folder: str) -> bool:
    return plain_name(path.parent.name) == plain_name(folder)


def is_elsewhere(name: str, path: Path, root: Path) -> bool:
    """Whether a name has folders, and its file lies in one that none of them is called like.

    Args:
        name: as a list has it.
        path: the file that was found for it.
        root: files in this folder, or in `images`, lie in no folder that says something.
    """
    if "/data/upload/" in name or path.parent == root:  # Label Studio's folders say nothing, either.
        return False
    folders = {plain_name(plain.parent.name) for plain in _spellings(name)} - {""}
    return bool(folders) and plain_name(path.parent.name) not in folders | {"images"}


def _common(wanted: list[str], parts: list[str]) -> int:
    same = 0
    for one, other in zip(reversed(wanted), reversed(parts), strict=False):
        if one != other:
            break
        same += 1
    return same


def _spellings(name: str) -> Iterator[PurePosixPath]:
    """Relative paths that a name may mean, the plainest first."""
    seen = set[str | PurePosixPath]()  # Most ways are one text, and paths are slow to make.
    for way in _ways(name):
        if way in seen:
            continue
        path = plain_path(way)
        if path.name and path not in seen:
            yield path
        seen |= {way, path}


def _ways(name: str) -> Iterator[str]:
    """Texts that a name may stand for. Most names mean what they say: the others are made when they are asked for."""
    yield name
    ways = [name, name.replace("\\", "/")]
    if "://" in name or "?" in name:
        url = urlsplit(name.replace("\\", "/"))
        ways += [*parse_qs(url.query).get("d", []), url.path]  # Label Studio: /data/local-files/?d=…
    yield from ways[1:]
    decoded = [*map(unquote, ways)]
    yield from decoded
    for form in ("NFC", "NFD") if not all(map(str.isascii, decoded)) else ():
        yield from (unicodedata.normalize(form, way) for way in (*ways, *decoded))


def plain_name(name: str) -> str:
    """A name in lower case and with composed accents, by which names of all systems can be compared."""
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name).lower()


def plain_path(name: str) -> PurePosixPath:
    """A path without the root, the drive and the steps upwards of another machine."""
    path = PurePosixPath(name)
    plain = [part for part in path.parts if part not in {"/", "//", ".."} and not part.endswith(":")]
    return path if len(plain) == len(path.parts) else PurePosixPath(*plain)


def masks_among(files: Iterable[Path], folder: Path) -> set[Path]:
    """Those of the pictures below a folder that lie where masks are kept."""
    by_folder = defaultdict[Path, list[Path]](list)
    for path in files:
        by_folder[path.parent].append(path)
    kept = (above for above in by_folder if _MASKS & set(map(str.lower, above.relative_to(folder).parts)))
    return {path for above in kept for path in by_folder[above]}


def _in_other_case(files: Iterable[Path], used: Iterable[Path]) -> Iterator[Path]:
    """Those of some files that are used under a name in other case, where the file system makes no difference."""
    names = {str(path).lower(): path for path in used}
    for path in files:
        other = names.get(str(path).lower())
        if other is not None and os.path.samefile(path, other):  # noqa: PTH121
            yield path


def account_images(
    books: Books,
    places: Iterable[Path],
    used: set[Path],
    hint: Callable[[Path], str],
    doubtful: Mapping[Path, str] | None = None,
) -> None:
    """Enter all image files below some folders.

    Args:
        books: the accounts.
        places: folders of which none lies in another.
        used: files that images of the dataset lie in, wherever.
        hint: tells what to do about a file that nothing names.
        doubtful: files that several entries mean, or of which one alone may be meant, and what to do about them.
    """
    data, system, masks = set(used), list[Path](), set[Path]()
    for place in places:
        found = walk_files(place, IMAGE_SUFFIXES)
        data |= set(found.data)
        masks |= masks_among(found.data, place)
        system += [path for path in found.system if path not in used]
    data -= set(_in_other_case(data - used, used))
    books.find(IMAGE_FILES, len(data) + len(system))
    books.use(IMAGE_FILES, len(used))
    for path in system:
        books.leave_out(IMAGE_FILES, LEFT_BY_SYSTEM, path.name)
    for path in sorted(data - used):
        if doubtful and path in doubtful:
            books.leave_out(IMAGE_FILES, OF_AMBIGUOUS_NAME, path.name, doubtful[path])
        elif path in masks:
            books.leave_out(IMAGE_FILES, "that are masks of segments", path.name)
        else:
            books.leave_out(IMAGE_FILES, NOT_LISTED, path.name, hint(path))
