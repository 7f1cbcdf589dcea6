"""What a source hands over: assets and their annotations as they are, unchecked and unchanged."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from handful_core.vision import formats
from handful_trainer.dataset.accounts import Account

if TYPE_CHECKING:  # Worker processes import this module: they start sooner without pydantic.
    from handful_trainer.dataset.settings import DatasetConfig

SplitName = Literal["train", "val", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "val", "test")
SPLIT_WORDS: Mapping[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validate": "val",
    "validation": "val",
    "minival": "val",
    "test": "test",
    "testing": "test",
}
"""How files and folders are named after splits."""
IMAGE_SUFFIXES = formats.IMAGE_SUFFIXES
"""Files of a source that are images by their name, read or not. What they really hold, their first bytes tell."""
ACCEPTED = "accepted"
NO_ANNOTATION = "none"
_MAX_ID_LENGTH = 120
"""Bytes: file systems count names so."""
_CAPTURED = re.compile(r"(?<![0-9A-Za-z])reviewed-([0-9a-f]{32})(?![0-9A-Za-z])")
_YEAR = re.compile(r"[\W_]*[0-9]+$")


def without_year(word: str) -> str:
    """The word in lower case, without a year behind it: train for Train2017 and train_2017."""
    return _YEAR.sub("", word.lower())


def split_word(word: str) -> SplitName | None:
    """The split that a word says; a year may follow."""
    return SPLIT_WORDS.get(without_year(word))


def unread_splits(names: Iterable[str]) -> list[str]:
    """Names that look like those of splits, and are not read as such: train_images and val_images, or dev beside train.

    A single one may be called so for another reason.
    """
    said = {name: split for name in names if (split := split_word(name) or _split_inside(name))}
    return sorted(name for name in said if split_word(name) is None) if len(set(said.values())) > 1 else []


def _split_inside(name: str) -> SplitName | None:
    """The split that a part of a name says: train in train_images, trainset and cocoTrain."""
    for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name):
        plain = word.lower().removesuffix("set")
        if split := "val" if plain == "dev" else SPLIT_WORDS.get(plain):
            return split
    return None


class RawBox(NamedTuple):
    """A labelled box, as it was annotated."""

    label: str
    x: float
    y: float
    width: float
    height: float
    """Left, top, width and height in pixels of the upright image (or in shares of it: see `RawItem.relative`)."""
    shape: Literal["box", "crowd", "polygon"] = "box"
    """polygon: the box around one. crowd: a region of many objects, which is counted and left out."""


def captured_id(picture_id: str) -> str:
    """The asset id of a captured picture: `captured_picture` knows it again, whatever is put around it."""
    return f"reviewed-{picture_id}"


def captured_picture(name: str) -> str:
    """Which captured picture an asset, or the prepared image that is named by it, is of; empty for any other."""
    found = _CAPTURED.search(name)
    return found[1] if found else ""


class RawItem(NamedTuple):
    """An asset with its newest annotation.

    The fingerprint hashes the fields in this order: moving one gives every dataset a new fingerprint.
    """

    id: str
    """Unique in the dataset; the prepared image is named by it."""
    path: Path | None
    """The image's file, None if the source lists the asset but has no file for it."""
    name: str
    """What people call it; need not be unique."""
    status: str
    """ACCEPTED, NO_ANNOTATION, or whatever else the source says of the newest annotation, in lower case."""
    boxes: tuple[RawBox, ...] = ()
    split: SplitName | None = None
    """The split that the source put it in, if it did."""
    relative: bool = False
    """True if boxes are shares of the upright image's width and height."""
    size: tuple[int, int] | None = None
    """Width and height that the source states."""
    labels: tuple[str, ...] = ()
    """What the image as a whole was classified as."""
    tags: tuple[str, ...] = ()
    """Tags of the asset."""
    group: str = ""
    """What the source says that it belongs to, such as a plant or a person: images of one group stay in one split."""
    reviewed: bool = False
    """Did a person review it after a model had answered?"""
    kept_from_test: bool = False
    """It is never a test image."""
    corrects: str = ""
    """The sha256 of the file whose annotation it corrects: then it is that image with another annotation."""


@dataclass(frozen=True, slots=True)
class RawDataset:
    """All that a source has."""

    items: tuple[RawItem, ...]
    classes: tuple[str, ...] = ()
    """The source's own list of classes, if it has one."""
    accounts: tuple[Account, ...] = ()
    """What became of everything that the source found: see `Books`."""
    warnings: tuple[str, ...] = ()
    """Sentences for people, about what was read in another way than it is written."""
    made_for: str = ""
    """The kind of labels that the source says it was made for, if it does: the name of a task."""


class AssetIds:
    """Gives each path an id that can name a file: readable where the path allows it, never twice the same."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def assign(self, path: PurePath) -> str:
        """The id of an image, from its path below the dataset's folder. Folders called images are left out of it.

        Ids are compared without regard to case, as some file systems do.
        """
        whole = "_".join(part for part in path.with_suffix("").parts if part != "images")
        name = "".join(c if c.isalnum() or c in "-_." else "-" for c in whole).lstrip(".")
        name = name.encode(errors="replace")[:_MAX_ID_LENGTH].decode(errors="ignore")
        if name != whole or name.casefold() in self._taken:
            name = f"{name}-{hashlib.sha256(path.as_posix().encode(errors='surrogateescape')).hexdigest()[:8]}"
        self._taken.add(name.casefold())
        return name


class Source(Protocol):
    """A place that labelled images come from.

    Another kind is one more class in `sources`, or an entry point of another distribution: see `sources.GROUP`.
    """

    def __init__(self, config: DatasetConfig, home: Path) -> None:
        """Take the settings; touch nothing yet.

        Args:
            config: the dataset's settings.
            home: folder for what the source itself has to write.
        """

    def roots(self) -> tuple[Path, ...]:
        """Files and folders whose sizes and times tell whether anything changed; empty if settings alone tell it.

        A source that lies elsewhere is brought here first.

        Raises:
            DataError: the source is not there.
        """

    def read(self) -> RawDataset:
        """Read everything but the images' content, and account for all that is found.

        Raises:
            DataError: one of its kinds; the line names the file, the place and the asset.
        """
