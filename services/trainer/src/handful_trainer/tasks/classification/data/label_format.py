"""Classes of whole images as a task's labels."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from handful_trainer.dataset.errors import AnnotationError, DamagedFileError, EmptyDatasetError
from handful_trainer.dataset.inspection.facts import ImageFacts
from handful_trainer.dataset.preparation.assets import Asset
from handful_trainer.dataset.prepared import ASSETS, PreparedDataset
from handful_trainer.dataset.report.build import tally
from handful_trainer.dataset.report.page import Outline
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import SPLITS, RawItem, SplitName
from handful_trainer.tasks.classification.data import layout
from handful_trainer.tasks.classification.data.labels import (
    DROP_REASONS,
    SEVERAL,
    UNKNOWN,
    CleanClass,
    clean_class,
    write_nothing,
)
from handful_trainer.tasks.label_format import OpenedFolder, alike


class ClassFormat:
    """One class for each image, in folders by class."""

    noun = "labels"
    one = "a label"
    without = "images without a label"
    write = staticmethod(write_nothing)
    titles: Mapping[str, str] = {
        "label_unknown_label": "Images with an unknown label",
        "label_several_labels": "Images with several labels",
    }

    def named(self, item: RawItem) -> Iterable[str]:
        """What the image was classified as."""
        return item.labels

    def clean(self, item: RawItem, facts: ImageFacts, class_ids: Mapping[str, int]) -> CleanClass:  # noqa: ARG002
        """Its one class."""
        return clean_class(item, class_ids)

    def empty(self) -> CleanClass:
        """No class."""
        return CleanClass()

    def check(self, config: DatasetConfig, assets: Sequence[Asset]) -> None:
        """Refuse a dataset of one class, where there is nothing to tell apart, and one whose images all have several.

        Raises:
            EmptyDatasetError: the line says which.
        """
        labelled = [asset for asset in assets if asset.kept]
        several = [asset for asset in assets if any(label.reason == SEVERAL for label in asset.labels.dropped)]
        if several and not labelled:
            raise EmptyDatasetError(
                f"all {len(several)} labelled images have several labels ({several[0].item.name}: "
                f"{' and '.join(several[0].item.labels[:2])}): a classifier learns one for each",
                "keep the one that counts, or make one class of those that come together",
            )
        unknown = config.unknown_labels == "refuse" and any(
            label.reason == UNKNOWN for asset in assets for label in asset.labels.dropped
        )
        if unknown or not labelled or len({asset.kept[0].class_id for asset in labelled}) > 1:
            return
        raise EmptyDatasetError(
            f"all {len(labelled)} labelled images show {' '.join(labelled[0].item.labels[:1])}: "
            "a classifier tells two classes apart, or more",
            "add images of another class, even if it is only called other",
        )

    def kept_counts(self, usable: Sequence[Asset]) -> dict[str, Any]:
        """How many labels are kept and left out."""
        dropped = Counter(label.reason for asset in usable for label in asset.labels.dropped)
        return {
            "usable_without_labels": sum(not asset.kept for asset in usable),
            "labels_kept": sum(len(asset.kept) for asset in usable),
            "labels_dropped": tally(dropped.elements(), DROP_REASONS),
        }

    def odd_counts(self, usable: Sequence[Asset]) -> dict[str, int]:  # noqa: ARG002
        """Nothing."""
        return {}

    def problems(self, asset: Asset) -> Iterator[tuple[str, str]]:
        """Labels that were left out."""
        return ((f"label_{dropped.reason}", dropped.label) for dropped in asset.labels.dropped)

    def oddities(self, asset: Asset) -> Iterator[str]:  # noqa: ARG002
        """Nothing."""
        return iter(())

    def warnings(self, report: Mapping[str, Any], usable: Sequence[Asset]) -> Iterator[str]:  # noqa: ARG002
        """Images that lost their labels, and classes with fewer images than splits."""
        if several := report["labels_dropped"][SEVERAL]:
            yield f"{several} labels were left out because their images have several: a classifier learns one for each"
        few_images = {name: number for name, number in report["labels_per_class"].items() if 0 < number < len(SPLITS)}
        if few_images:
            found = ", ".join(f"{name} has {number}" for name, number in few_images.items())
            yield f"a class needs an image in each of train, val and test: {found}"

    def outlines(self, asset: Asset, classes: Sequence[str]) -> Iterator[Outline]:
        """The image's edge, with the class."""
        for label in asset.kept:
            hue = label.class_id * 67 % 360
            yield Outline(0, 0, asset.facts.width, asset.facts.height, classes[label.class_id], "kept", hue)

    def folders(self, classes: Sequence[str]) -> Iterator[str]:
        """SPLIT/CLASS.

        Raises:
            AnnotationError: a class cannot be the name of a folder.
        """
        if bad := next((name for name in classes if not layout.is_folder_name(name)), None):
            raise AnnotationError(f"the class {bad!r} cannot be the name of a folder", "give it another name")
        if pair := alike(classes):
            raise AnnotationError(
                f"the classes {pair[0]!r} and {pair[1]!r} look alike: case, blanks or the spelling of accents differ",
                "give both the same name",
            )
        return (f"{split}/{name}" for split in SPLITS for name in classes)

    def image_name(self, asset: Asset, classes: Sequence[str]) -> str:
        """SPLIT/CLASS/NAME."""
        return f"{asset.split}/{classes[asset.kept[0].class_id]}/{asset.file_name}"

    def entries(self, usable: Sequence[Asset]) -> Sequence[Any]:  # noqa: ARG002
        """None: the folders say all."""
        return ()

    def describe(self, folder: Path, classes: Sequence[str]) -> None:
        """Write the list of classes."""
        layout.write_classes(folder, classes)

    def is_whole(self, root: Path, splits: Mapping[str, int]) -> bool:
        """Are all images still there?"""
        return layout.is_whole(root, splits)

    def opens(self, path: Path) -> bool:
        """Splits with folders of images in them."""
        return layout.looks_like(path)

    def open(self, path: Path) -> OpenedFolder:
        """Read which classes and images there are."""
        return layout.open_folder(path)

    def sizes(self, folder: OpenedFolder) -> dict[str, int]:
        """Images of each split."""
        return layout.count_images(folder.root)

    def samples(self, dataset: PreparedDataset, split: SplitName) -> Iterator[tuple[Path, int]]:
        """Images with their class ids."""
        return layout.read_split(dataset.root, split, dataset.classes)

    def compare(self, first: PreparedDataset, second: PreparedDataset) -> ClassComparison:
        """Images that were added, removed, changed, moved or given another class."""
        old, new = _images(first), _images(second)
        old = _renamed(old, new)
        both = sorted(old.keys() & new.keys())
        found = ClassComparison(sorted(new.keys() - old.keys()), sorted(old.keys() - new.keys()))
        found.classes_added = [name for name in second.classes if name not in first.classes]
        found.classes_removed = [name for name in first.classes if name not in second.classes]
        found.changed = [i for i in both if old[i].sha256 != new[i].sha256]
        found.moved = {i: f"{old[i].split} → {new[i].split}" for i in both if old[i].split != new[i].split}
        found.relabelled = {i: f"{old[i].label} → {new[i].label}" for i in both if old[i].label != new[i].label}
        found.unchanged = sum(old[i] == new[i] for i in both)
        return found


@dataclass(slots=True)
class ClassComparison:
    """What the second dataset has other than the first."""

    added: list[str]
    """Ids of assets that only the second has."""
    removed: list[str]
    changed: list[str] = field(default_factory=list)
    """Those whose image has another content."""
    moved: dict[str, str] = field(default_factory=dict)
    relabelled: dict[str, str] = field(default_factory=dict)
    """Those of another class: `rust → miner`."""
    classes_added: list[str] = field(default_factory=list)
    classes_removed: list[str] = field(default_factory=list)
    unchanged: int = 0

    def counts(self) -> list[tuple[str, int, int, int]]:
        """Rows of a table: what, and how many were added, removed and changed."""
        return [
            ("images", len(self.added), len(self.removed), len(self.changed)),
            ("labels", len(self.added), len(self.removed), len(self.relabelled)),
            ("classes", len(self.classes_added), len(self.classes_removed), 0),
        ]

    def rows(self) -> list[tuple[str, str, str]]:
        """What differs in images that both have."""
        labels = [(asset_id, "label changed", what) for asset_id, what in self.relabelled.items()]
        return labels + [(asset_id, "image changed", "") for asset_id in self.changed]

    def as_json(self) -> dict[str, Any]:
        """For another program."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _LabelledImage:
    sha256: str
    split: str
    label: str


def _renamed(old: Mapping[str, _LabelledImage], new: Mapping[str, _LabelledImage]) -> dict[str, _LabelledImage]:
    """The older images by the ids that they have now: who moves a file into the folder of another class renames it.

    An image is known by its content, if no other has the same.
    """
    gone = _by_content({asset_id: image for asset_id, image in old.items() if asset_id not in new})
    come = _by_content({asset_id: image for asset_id, image in new.items() if asset_id not in old})
    now = {gone[sha256]: come[sha256] for sha256 in gone.keys() & come.keys()}
    return {now.get(asset_id, asset_id): image for asset_id, image in old.items()}


def _by_content(images: Mapping[str, _LabelledImage]) -> dict[str, str]:
    """Asset ids by what only one image holds."""
    often = Counter(image.sha256 for image in images.values())
    return {image.sha256: asset_id for asset_id, image in images.items() if often[image.sha256] == 1}


def _images(dataset: PreparedDataset) -> dict[str, _LabelledImage]:
    """The images of a prepared dataset by asset id."""
    listed = dataset.root / ASSETS
    try:
        entries = [json.loads(line) for line in listed.read_text(encoding="utf-8").splitlines()]
        shown = [(entry, Path(entry["image"])) for entry in entries if entry["image"]]
        return {e["id"]: _LabelledImage(e["sha256"], p.parts[0], p.parts[1]) for e, p in shown}
    except FileNotFoundError:
        raise DamagedFileError(
            f"{dataset.root} was not prepared by Handful", "handful data prepare makes such a folder"
        ) from None
    except (ValueError, KeyError, TypeError, IndexError):
        raise DamagedFileError(f"{listed} is damaged", "prepare the dataset again") from None
