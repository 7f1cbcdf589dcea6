"""Which label file belongs to which image."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from handful_core.folders import walk_files
from handful_trainer.dataset.accounts import LABEL_FILES, LEFT_BY_SYSTEM, Books
from handful_trainer.dataset.sources.images import plain_name
from handful_trainer.dataset.sources.yolo.folder import YoloFolder

_TEXT = frozenset({".txt"})
_NO_LABELS = frozenset({"classes.txt", "names.txt", "notes.txt", "train.txt", "val.txt", "valid.txt", "test.txt",
                        "trainval.txt", "requirements.txt"})  # fmt: skip
"""Text files that lie beside labels, in lower case; so do READMEs. An image of the name makes one a label file."""


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
    """All label files that lie where some images' labels may lie, and which image has which.

    That is where Ultralytics looks, and in folders called Labels, and beside the image; the image's own suffix may
    stand before .txt (a.jpg.txt). Names that differ in capitals or in how accents are composed are one where no other
    image has the file.

    Args:
        folder: the dataset.
        roots: the folders of images and labels.
        images: the images.
    """

    def __init__(self, folder: YoloFolder, roots: Iterable[Path], images: Sequence[Path]) -> None:
        self._root = folder.root
        lists = {place for places in folder.splits.values() for place in places}
        self._by_folder: dict[Path, dict[str, Path]] = defaultdict(dict)
        self._system: list[Path] = []
        for root in roots:
            found = walk_files(root, _TEXT)
            self._system += found.system
            for text in found.data:
                if text not in lists:
                    self._by_folder[text.parent][text.name] = text
        self._lower = {
            folder: {plain_name(name): path for name, path in files.items()}
            for folder, files in self._by_folder.items()
        }
        self._label_folders: dict[str, list[Path]] = defaultdict(list)
        """By how they are called in lower case: labels and Labels may both be there."""
        for place in self._by_folder:
            self._label_folders[_lower_labels(place)].append(place)
        self._by_image = {image: path for image in images if (path := self._exact(image))}
        taken = set(self._by_image.values())
        for image in images:
            if image not in self._by_image and (path := self._spelt_otherwise(image, taken)):
                self._by_image[image] = path
                taken.add(path)

    def of(self, image: Path) -> Path | None:
        """An image's label file, None if it has none."""
        return self._by_image.get(image)

    @property
    def shared(self) -> list[str]:
        """Images that share a label file with another one: a.jpg and a.png."""
        owners = Counter(self._by_image.values())
        return [image.name for image, path in self._by_image.items() if owners[path] > 1]

    def account(self, books: Books, unlabelled: Iterable[Path]) -> None:
        """Enter all label files: those that were asked for are used.

        Args:
            books: the accounts.
            unlabelled: images that have no label file.
        """
        used = set(self._by_image.values())
        idle = [path for files in self._by_folder.values() for path in files.values() if path not in used]
        idle = [path for path in idle if not _is_no_label_file(path.name)]
        books.find(LABEL_FILES, len(used) + len(idle) + len(self._system))
        books.use(LABEL_FILES, len(used))
        for path in self._system:
            books.leave_out(LABEL_FILES, LEFT_BY_SYSTEM, path.name)
        lacking = {image.stem.lower(): image for image in unlabelled}
        labelled = {image.stem.lower() for image in self._by_image}
        for path in sorted(idle):
            stem = path.stem.lower()
            if stem in lacking:
                hint = f"the image lies in {lacking[stem].parent}: put the label file beside it"
            elif stem in labelled:
                hint = "an image of this name has another label file: remove one of them"
            else:
                hint = "name it like its image, or see whether images are missing"
            books.leave_out(LABEL_FILES, "without an image", below(path, self._root), hint)

    def _exact(self, image: Path) -> Path | None:
        names = (f"{image.stem}.txt", f"{image.name}.txt")
        files = (self._by_folder[folder] for folder in self._folders(image) if folder in self._by_folder)
        return next((found[name] for found in files for name in names if name in found), None)

    def _spelt_otherwise(self, image: Path, taken: Collection[Path]) -> Path | None:
        names = (plain_name(f"{image.stem}.txt"), plain_name(f"{image.name}.txt"))
        files = (self._lower[folder] for folder in self._folders(image) if folder in self._lower)
        found = (files[name] for files in files for name in names if name in files)
        return next((path for path in found if path not in taken), None)

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
