"""What a task makes of annotations, and how its labels lie on disk: all that datasets know of it."""

from __future__ import annotations

import unicodedata
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from handful_trainer.dataset.inspection.facts import ImageFacts
    from handful_trainer.dataset.preparation.assets import Asset
    from handful_trainer.dataset.prepared import PreparedDataset
    from handful_trainer.dataset.report.page import Outline
    from handful_trainer.dataset.settings import DatasetConfig
    from handful_trainer.dataset.sources.base import RawItem, SplitName


def alike(classes: Sequence[str]) -> tuple[str, str] | None:
    """The first two classes that a reader takes for one: they differ in case, blanks or how accents are written."""
    read = [" ".join(unicodedata.normalize("NFC", name).casefold().split()) for name in classes]
    first: dict[str, str] = {}
    for name, plain in zip(classes, read, strict=True):
        if (other := first.setdefault(plain, name)) is not name:
            return other, name
    return None


class Label(Protocol):
    """One label of an image that is kept: a box, or what the whole image shows."""

    @property
    def class_id(self) -> int:
        """Place of its class in the dataset's list."""


class DroppedLabel(Protocol):
    """One that is left out."""

    @property
    def label(self) -> str:
        """The class it names."""

    @property
    def reason(self) -> str:
        """Why, in one word. `unknown_label`: it is not one of the classes."""


class Labels(Protocol):
    """An image's labels, sorted out."""

    @property
    def kept(self) -> Sequence[Label]:
        """Those that are trained on."""

    @property
    def dropped(self) -> Sequence[DroppedLabel]:
        """Those that are not."""

    @property
    def content(self) -> Hashable:
        """The same for two images that carry the same labels."""

    @property
    def required(self) -> bool:
        """Is an image without a kept label of no use? With boxes it is an example of nothing to be found."""


@dataclass(frozen=True, slots=True)
class OpenedFolder:
    """What a folder with images and labels says of itself."""

    root: Path
    description: Path
    """The file that describes it, or the folder itself where there is none."""
    classes: tuple[str, ...]


class DatasetComparison(Protocol):
    """What the second of two datasets has other than the first."""

    @property
    def moved(self) -> Mapping[str, str]:
        """Assets in another split: `train → test`."""

    @property
    def unchanged(self) -> int:
        """Images that are the same in all."""

    def counts(self) -> list[tuple[str, int, int, int]]:
        """Rows of a table: what, and how many were added, removed and changed."""

    def rows(self) -> list[tuple[str, str, str]]:
        """What differs in images that both have: asset, what, which."""

    def as_json(self) -> dict[str, Any]:
        """For another program."""


class WriteLabels(Protocol):
    """Writes some label files of a prepared dataset."""

    def __call__(self, folder: str, entries: Sequence[Any], *, again: bool = False) -> list[None]:
        """Write them.

        Args:
            folder: the dataset's folder.
            entries: some of `LabelFormat.entries`.
            again: some may be there already, or half of one: they are replaced.
        """


class LabelFormat(Protocol):
    """What a task makes of annotations, and how its labels lie on disk."""

    noun: str
    """What labels are called in reports and tables, in the plural: boxes."""
    one: str
    """What one is called: a box."""
    without: str
    """What images without a label are called in reports: images that show nothing."""
    titles: Mapping[str, str]
    """Headings of the report's page, by the problems that `problems` names."""
    write: WriteLabels
    """Writes label files. A module's function: other processes import it, so its module should be light."""

    def named(self, item: RawItem) -> Iterable[str]:
        """The classes that an annotation names, for sources without a list of classes."""

    def clean(self, item: RawItem, facts: ImageFacts, class_ids: Mapping[str, int]) -> Labels:
        """What counts of an annotation.

        Args:
            item: the asset.
            facts: what its file holds; width and height in pixels of the upright image.
            class_ids: class id by name; what is missing here is unknown.
        """

    def empty(self) -> Labels:
        """No labels, for images that cannot be used."""

    def check(self, config: DatasetConfig, assets: Sequence[Asset]) -> None:
        """Refuse what the configuration forbids.

        Raises:
            DataError: the line names assets.
        """

    def kept_counts(self, usable: Sequence[Asset]) -> dict[str, Any]:
        """Entries of report.json: what was kept and dropped."""

    def odd_counts(self, usable: Sequence[Asset]) -> dict[str, int]:
        """Entries of report.json: what is odd without being wrong."""

    def problems(self, asset: Asset) -> Iterator[tuple[str, str]]:
        """Each defect of an asset's labels, with a detail."""

    def oddities(self, asset: Asset) -> Iterator[str]:
        """What is odd about an asset's labels, for the report's pictures."""

    def warnings(self, report: Mapping[str, Any], usable: Sequence[Asset]) -> Iterator[str]:
        """Sentences for people."""

    def outlines(self, asset: Asset, classes: Sequence[str]) -> Iterable[Outline]:
        """What is drawn over the asset's picture in the report."""

    def folders(self, classes: Sequence[str]) -> Iterable[str]:
        """Folders of a prepared dataset, relative to it."""

    def image_name(self, asset: Asset, classes: Sequence[str]) -> str:
        """Where an asset's image lies in a prepared dataset, relative to it."""

    def entries(self, usable: Sequence[Asset]) -> Sequence[Any]:
        """What `write` takes, one for each label file; empty where the folders' names say all."""

    def describe(self, folder: Path, classes: Sequence[str]) -> None:
        """Write the file that describes the dataset, if the format has one."""

    def is_whole(self, root: Path, splits: Mapping[str, int]) -> bool:
        """Are all images and labels still there?"""

    def opens(self, path: Path) -> bool:
        """Does this folder, or file, look like a dataset of this format?"""

    def open(self, path: Path) -> OpenedFolder:
        """Read what a folder says of itself.

        Raises:
            DataError: it is missing or damaged.
        """

    def sizes(self, folder: OpenedFolder) -> dict[str, int]:
        """Images of each split that a folder has. They are counted: a prepared dataset's report knows them already."""

    def samples(self, dataset: PreparedDataset, split: SplitName) -> Iterator[tuple[Path, Any]]:
        """The images of a split with their labels, in the order of their names.

        Raises:
            DataError: one is damaged.
        """

    def compare(self, first: PreparedDataset, second: PreparedDataset) -> DatasetComparison:
        """What changed between two prepared datasets.

        Raises:
            DataError: one of them was not prepared by Handful, or is damaged.
        """
