"""The images of a split that a classifier is judged on, and what became of the others.

A folder that Handful prepared was checked when it was prepared. Any other folder of classes is read by the dataset
source `folder`, which accounts for all that lies in it; nothing is written into it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from handful_core.errors import NotFoundError
from handful_core.folders import is_system_name
from handful_core.vision.decode import ImageError, Pixels, decode_image
from handful_trainer.dataset.accounts import IMAGES, Account, Books, few
from handful_trainer.dataset.errors import DamagedFileError
from handful_trainer.dataset.inspection.inspect import inspect_images
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import IMAGE_SUFFIXES, split_word
from handful_trainer.dataset.sources.folder import CLASSES, ClassFolderSource
from handful_trainer.tasks.classification.data.layout import split_folders


@dataclass(frozen=True, slots=True)
class JudgedImages:
    """The images of a split."""

    samples: Sequence[tuple[Path, str]]
    """Images with their classes, in the order of the split."""
    accounts: tuple[Account, ...] = ()
    """What became of everything in the split's folder; nothing where it was prepared."""
    warnings: tuple[str, ...] = ()
    checked: bool = True
    """All images can be decoded, since they were prepared."""

    @classmethod
    def of(cls, dataset: PreparedDataset, split: str) -> JudgedImages:
        """The images of a split.

        Raises:
            NotFoundError: there is no such split.
            DataError: nobody can tell what its classes are.
        """
        if dataset.report:
            return cls([(path, dataset.classes[class_id]) for path, class_id in dataset.split(split)])
        found, accounts, warnings = list[tuple[Path, str]](), list[Account](), list[str]()
        for folder in split_folders(dataset.root, split):
            raw = ClassFolderSource(_read_as_classes(folder), dataset.root).read()
            found += [(item.path, item.labels[0]) for item in raw.items if item.path]
            accounts += raw.accounts
            warnings += [*raw.warnings, *_no_images(folder)]
        if not found:
            sizes = ", ".join(dataset.split_sizes) or "none"
            raise NotFoundError(f"the dataset {dataset.root} has no split {split!r}", f"it has {sizes}")
        return cls(found, tuple(accounts), tuple(warnings), checked=False)

    def pixels(self, path: Path, books: Books) -> Pixels | None:
        """Decode one of the images, as serving does; None if it is left out.

        Args:
            path: the image.
            books: what becomes of it is entered there.

        Raises:
            DamagedFileError: it cannot be decoded any more, though it could when it was prepared.
        """
        books.find(IMAGES)
        try:
            pixels = decode_image(path.read_bytes())
        except (ImageError, OSError) as error:
            if self.checked:
                raise DamagedFileError(f"{path} cannot be read ({error})", "prepare the dataset again") from error
            facts = inspect_images([path])[0]
            reason = f"cannot be read ({facts.defect.replace('_', ' ') or 'damaged'})"
            books.leave_out(IMAGES, reason, path, "nothing was measured on them: replace or remove them")
            return None
        books.use(IMAGES)
        return pixels


def _read_as_classes(folder: Path) -> DatasetConfig:
    """A class may be called like a split."""
    like_splits = sorted(path.name for path in folder.iterdir() if path.is_dir() and split_word(path.name))
    return DatasetConfig(source="folder", path=folder, classes=tuple(like_splits))


def _no_images(folder: Path) -> Iterator[str]:
    """Files that are not judged, since their names are no images'."""
    inside = ((path, path.relative_to(folder)) for path in sorted(folder.rglob("*")) if path.is_file())
    others = [
        name.as_posix()
        for path, name in inside
        if path.suffix.lower() not in IMAGE_SUFFIXES and not any(map(is_system_name, name.parts))
    ]
    if others := [name for name in others if name != CLASSES]:
        yield f"{len(others)} files in {folder} are no images by their names ({few(others)}): they are not judged"
