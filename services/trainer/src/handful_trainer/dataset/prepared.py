"""A dataset that is ready to train on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from handful_core.errors import NotFoundError
from handful_core.vision.decode import read_header
from handful_trainer.dataset.errors import DamagedFileError
from handful_trainer.dataset.settings import class_values
from handful_trainer.dataset.sources.base import SPLITS, SplitName
from handful_trainer.dataset.sources.yolo_files import (
    CACHE_SUFFIXES,
    YoloFolder,
    label_path,
    open_yolo_folder,
    read_labels,
)

DATA_YAML, REPORT = "data.yaml", "report.json"
UNKNOWN_FINGERPRINT = "unknown"

Sample = tuple[Path, NDArray[np.float32], NDArray[np.int64]]
"""An image, its boxes (n, 4) as left, top, right, bottom in pixels of the upright image, and their class ids (n,)."""


@dataclass(frozen=True, slots=True)
class PreparedDataset:
    """A folder in YOLO's layout with what is known about it.

    Made by `prepare`, or by somebody else: then there is no report, and the fingerprint is "unknown".
    """

    root: Path
    """Folder, absolute."""
    data_yaml: Path
    fingerprint: str
    """sha256 of the images, annotations and settings that it was made from."""
    name: str
    classes: tuple[str, ...]
    counts: dict[str, int]
    """What a box of each class adds to an image's count."""
    split_sizes: dict[str, int]
    """Images of train, val and test; a split that is missing is not in it."""
    report: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Content of report.json; empty if Handful did not prepare it."""

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a prepared dataset, or any YOLO dataset.

        Args:
            path: its folder or its data.yaml.

        Raises:
            DataError: it is not there or damaged.
        """
        folder = open_yolo_folder(path)
        root = folder.data_yaml.resolve().parent
        report = _report(root / REPORT, folder)
        if not report:
            sizes = {split: len(folder.images(split)) for split in folder.splits}
            return cls(
                root=root,
                data_yaml=folder.data_yaml.resolve(),
                fingerprint=UNKNOWN_FINGERPRINT,
                name=root.name,
                classes=folder.names,
                counts=class_values(folder.names, None),
                split_sizes={split: images for split, images in sizes.items() if images},
            )
        return cls(
            root=root,
            data_yaml=folder.data_yaml.resolve(),
            fingerprint=report["fingerprint"],
            name=report["name"],
            classes=folder.names,
            counts=report["counts"],
            split_sizes={split: content["images"] for split, content in report["splits"].items()},
            report=report,
        )

    def is_whole(self) -> bool:
        """Are all images and labels that Handful wrote still there? Links that lead nowhere are not."""
        return all(
            _files_in(self.root / kind / split) >= images
            for split, images in self.split_sizes.items()
            for kind in ("images", "labels")
        )

    def split(self, name: str) -> Iterator[Sample]:
        """The images of a split with their boxes, in the order of their names.

        Raises:
            NotFoundError: there is no such split.
            DataError: a label file or an image is damaged.
        """
        split = next((known for known in SPLITS if known == name), None)
        if split is None or not self.split_sizes.get(split):
            raise NotFoundError(
                f"the dataset {self.root} has no split {name!r}", f"it has {', '.join(self.split_sizes) or 'none'}"
            )
        return self._samples(open_yolo_folder(self.data_yaml), split)

    def _samples(self, folder: YoloFolder, split: SplitName) -> Iterator[Sample]:
        for image in folder.images(split):
            path = label_path(image)
            raw = read_labels(path, folder.names)
            if unknown := next((box.label for box in raw if box.label not in folder.names), None):
                raise DamagedFileError(f"{path} has the {unknown}, which data.yaml does not name", "prepare it again")
            header = read_header(image.read_bytes())
            ids = np.asarray([folder.names.index(box.label) for box in raw], np.int64)
            corners = [(b.x, b.y, b.x + b.width, b.y + b.height) for b in raw]
            scale = np.asarray([header.width, header.height] * 2, np.float64)
            boxes = np.asarray(corners, np.float64).reshape(-1, 4) * scale
            yield image, np.clip(boxes, 0, scale).astype(np.float32), ids


def _files_in(folder: Path) -> int:
    """How many files there are; only for links the disk is asked for more than their names."""
    try:
        with os.scandir(folder) as entries:
            return sum(entry.is_file() for entry in entries if not entry.name.endswith(CACHE_SUFFIXES))
    except OSError:
        return 0


def _report(path: Path, folder: YoloFolder) -> dict[str, Any]:
    """Content of report.json, empty if there is none that belongs to this dataset."""
    try:
        report = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise DamagedFileError(f"{path} is no valid JSON ({error})", "prepare the dataset again") from None
    if not isinstance(report, dict) or "fingerprint" not in report:
        return {}
    missing = {"name", "counts", "splits"} - report.keys()
    if missing or tuple(report.get("names", ())) != folder.names:
        raise DamagedFileError(f"{path} contradicts {folder.data_yaml.name}", "prepare the dataset again")
    return report
