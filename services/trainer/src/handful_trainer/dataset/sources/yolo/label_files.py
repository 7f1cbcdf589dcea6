"""Which label file belongs to which image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from handful_trainer.dataset.accounts import LABEL_FILES, LEFT_BY_SYSTEM, Books
from handful_trainer.dataset.sources.files import walk_files
from handful_trainer.dataset.sources.yolo.folder import YoloFolder

_TEXT = frozenset({".txt"})
_NO_LABELS = frozenset({"classes.txt", "names.txt", "notes.txt", "train.txt", "val.txt", "valid.txt", "test.txt",
                        "trainval.txt", "requirements.txt"})  # fmt: skip
"""Text files that lie beside labels, in lower case. READMEs are none either."""


def below(path: Path, root: Path) -> Path:
    """A path as seen from a folder, or from the disk's root if it lies elsewhere."""
    return path.relative_to(root) if path.is_relative_to(root) else Path(*path.parts[1:])


def label_path(image: Path) -> Path:
    """Where Ultralytics looks for an image's labels: the last folder called images becomes labels.

    Without one, it is beside the image.
    """
    parts = list(image.parts)
    for position in range(len(parts) - 2, -1, -1):
        if parts[position] == "images":
            parts[position] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


class LabelFiles:
    """All label files that lie where some images' labels may lie.

    That is where Ultralytics looks, and in folders called Labels, and beside the image; the suffix may be in capitals,
    and the image's own suffix may stand before it (a.jpg.txt).

    Args:
        folder: the dataset.
        roots: the folders of images and labels.
    """

    def __init__(self, folder: YoloFolder, roots: Iterable[Path]) -> None:
        self._root = folder.root
        lists = {place for places in folder.splits.values() for place in places}
        self._by_folder: dict[Path, dict[str, Path]] = defaultdict(dict)
        self._system: list[Path] = []
        self._taken: dict[Path, Path] = {}
        for root in roots:
            found = walk_files(root, _TEXT)
            self._system += found.system
            for path in found.data:
                if path not in lists and not _is_no_label_file(path.name):
                    self._by_folder[path.parent][path.name] = path
        self._lower = {
            folder: {name.lower(): path for name, path in files.items()} for folder, files in self._by_folder.items()
        }
        self._label_folders: dict[str, list[Path]] = defaultdict(list)
        """By how they are called in lower case: labels and Labels may both be there."""
        for place in self._by_folder:
            self._label_folders[_lower_labels(place)].append(place)

    def of(self, image: Path) -> Path | None:
        """An image's label file, None if it has none."""
        names = (f"{image.stem}.txt", f"{image.name}.txt")
        for folder in self._folders(image):
            files, lower = self._by_folder.get(folder), self._lower.get(folder)
            if files is None or lower is None:
                continue
            found = next((files[name] for name in names if name in files), None)
            found = found or next((lower[name.lower()] for name in names if name.lower() in lower), None)
            if found:
                self._taken.setdefault(found, image)
                return found
        return None

    def account(self, books: Books, unlabelled: Iterable[Path]) -> None:
        """Enter all label files: those that were asked for are used.

        Args:
            books: the accounts.
            unlabelled: images that have no label file.
        """
        everything = [path for files in self._by_folder.values() for path in files.values()]
        books.find(LABEL_FILES, len(everything) + len(self._system))
        books.use(LABEL_FILES, len(self._taken))
        for path in self._system:
            books.leave_out(LABEL_FILES, LEFT_BY_SYSTEM, path.name)
        lacking = {image.stem.lower(): image for image in unlabelled}
        labelled = {image.stem.lower() for image in self._taken.values()}
        for path in sorted(path for path in everything if path not in self._taken):
            stem = path.stem.lower()
            if stem in lacking:
                hint = f"the image lies in {lacking[stem].parent}: put the label file beside it"
            elif stem in labelled:
                hint = "an image of this name has another label file: remove one of them"
            else:
                hint = "name it like its image, or see whether images are missing"
            books.leave_out(LABEL_FILES, "without an image", below(path, self._root), hint)

    def _folders(self, image: Path) -> Iterator[Path]:
        """Where an image's labels may lie, the likeliest first."""
        expected = label_path(image).parent
        yield expected
        yield from self._label_folders.get(_lower_labels(expected), [])
        in_capitals = Path(*("images" if part.lower() == "images" else part for part in image.parts))
        if in_capitals != image:
            yield from self._label_folders.get(_lower_labels(label_path(in_capitals).parent), [])
        yield image.parent


def _is_no_label_file(name: str) -> bool:
    return name.lower() in _NO_LABELS or name.lower().startswith("readme")


def _lower_labels(folder: Path) -> str:
    """The folder with each part called Labels in lower case, by which folders are compared."""
    return "/".join("labels" if part.lower() == "labels" else part for part in folder.parts)
