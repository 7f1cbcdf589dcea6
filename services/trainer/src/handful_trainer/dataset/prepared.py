"""A dataset that is ready to train on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from handful_core.errors import ConfigError, DataError, NotFoundError
from handful_trainer.dataset.errors import DamagedFileError
from handful_trainer.dataset.settings import DatasetConfig, TogetherConfig, class_values
from handful_trainer.dataset.sources.base import SPLITS, SplitName, captured_picture
from handful_trainer.tasks import DEFAULT, all_tasks, get_task
from handful_trainer.tasks.base import Task
from handful_trainer.tasks.label_format import OpenedFolder

REPORT, ASSETS = "report.json", "assets.jsonl"
UNKNOWN_FINGERPRINT = "unknown"


@dataclass(frozen=True, slots=True)
class PreparedDataset:
    """A folder in the layout of a task, with what is known about it.

    Made by `prepare`, or by somebody else: then there is no report, and the fingerprint is "unknown".
    """

    root: Path
    """Folder, absolute."""
    description: Path
    """The file that describes it (a detector's data.yaml), or the folder itself where the layout has none."""
    fingerprint: str
    """sha256 of the images, annotations and settings that it was made from."""
    name: str
    classes: tuple[str, ...]
    counts: dict[str, int]
    """What a label of each class adds to an image's count."""
    split_sizes: dict[str, int]
    """Images of train, val and test; a split that is missing is not in it."""
    report: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Content of report.json; empty if Handful did not prepare it."""
    task_name: str = DEFAULT

    @property
    def task(self) -> Task:
        """What it is for."""
        return get_task(self.task_name)

    @classmethod
    def open(cls, path: Path, otherwise: str = DEFAULT) -> Self:
        """Open a prepared dataset, or any folder in a task's layout.

        Args:
            path: its folder, or the file that describes it.
            otherwise: the task that it is taken to be for if it has no task's layout: that of what is done with it.

        Raises:
            DataError: it is not there or damaged.
        """
        task = _task_of(path, otherwise)
        folder = task.labels.open(path)
        report = _report(folder.root / REPORT, folder)
        if not report:
            return cls(
                root=folder.root,
                description=folder.description,
                fingerprint=UNKNOWN_FINGERPRINT,
                name=folder.root.name,
                classes=folder.classes,
                counts=class_values(folder.classes, None),
                split_sizes=task.labels.sizes(folder),
                task_name=task.name,
            )
        return cls(
            root=folder.root,
            description=folder.description,
            fingerprint=report["fingerprint"],
            name=report["name"],
            classes=folder.classes,
            counts=report["counts"],
            split_sizes={split: content["images"] for split, content in report["splits"].items()},
            report=report,
            task_name=task.name,
        )

    @property
    def near_duplicate_distance(self) -> int:
        """Bits in which perceptual hashes of near-duplicates differ at most; -1 if they were not to be looked for.

        As `dataset.keep_together.near_duplicates` had it when the dataset was prepared, else as it is by default.
        """
        found = self.report.get("near_duplicates", {})
        if not found.get("sought", True):
            return -1
        return int(found.get("distance", TogetherConfig().near_duplicates))

    @property
    def reviewed(self) -> int:
        """Images that people reviewed after a model had answered."""
        return sum(self.report.get("reviewed", {}).values())

    def publishable(self, name: str) -> list[Path]:
        """The images of a split that may travel with a model, in the order of their names: no captured pictures.

        Somebody may delete those, and finds them nowhere afterwards. A split of captured pictures alone has none.

        Raises:
            NotFoundError: there is no such split.
            DataError: a label file or an image is damaged.
        """
        return [path for path in self.images(name) if not captured_picture(path.name)]

    @property
    def has_captured(self) -> bool:
        """Are captured pictures among the images?"""
        return self.reviewed > 0 and any(
            captured_picture(path.name) for split in self.split_sizes for path in self.images(split)
        )

    @classmethod
    def made_from(cls, path: Path, task: str, config: DatasetConfig) -> Self:
        """Open a dataset that Handful prepared from these settings, as far as its report tells.

        Raises:
            DataError: it is not there or damaged, or Handful did not prepare it.
            ConfigError: it is another one.
        """
        root = path.parent if path.is_file() else path
        if root.is_dir() and "fingerprint" not in _content(root / REPORT):
            raise DataError(
                f"{root} was not prepared by Handful", "prepare it: handful data prepare --config FILE --output FOLDER"
            )
        dataset = cls.open(path)
        for what, found, asked in (
            ("task", dataset.task_name, task),
            ("name", dataset.name, config.title),
            ("source", dataset.report["source"], config.source),
            ("classes", ", ".join(dataset.classes), ", ".join(config.classes or dataset.classes)),
        ):
            if found != asked:
                raise ConfigError(
                    f"{root} was prepared with the {what} {found}, the configuration says {asked}",
                    "prepare it again, or name another folder",
                )
        return dataset

    def is_whole(self) -> bool:
        """Are all images and labels that Handful wrote still there? Links that lead nowhere are not."""
        return self.task.labels.is_whole(self.root, self.split_sizes)

    def split(self, name: str) -> Iterator[tuple[Path, Any]]:
        """The images of a split with their labels (as the task has them), in the order of their names.

        Raises:
            NotFoundError: there is no such split.
            DataError: a label file or an image is damaged.
        """
        split: SplitName | None = next((known for known in SPLITS if known == name), None)
        if split is None or not self.split_sizes.get(split):
            raise NotFoundError(
                f"the dataset {self.root} has no split {name!r}", f"it has {', '.join(self.split_sizes) or 'none'}"
            )
        return self.task.labels.samples(self, split)

    def images(self, name: str) -> list[Path]:
        """The images of a split, in the order of their names.

        Raises:
            NotFoundError: there is no such split.
            DataError: a label file or an image is damaged.
        """
        return [path for path, _ in self.split(name)]


def _task_of(path: Path, otherwise: str) -> Task:
    """The task whose layout a folder has: as its report says, else as it looks."""
    root = path if path.is_dir() else path.resolve().parent
    report = _content(root / REPORT) if path.exists() else {}
    if "fingerprint" in report:  # Else it is somebody else's report.
        return get_task(str(report.get("task", DEFAULT)))
    return next((task for task in all_tasks() if task.labels.opens(path)), get_task(otherwise))


def _content(path: Path) -> dict[str, Any]:
    try:
        report = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except ValueError as error:
        raise DamagedFileError(f"{path} is not valid JSON ({error})", "prepare the dataset again") from None
    return report if isinstance(report, dict) else {}


def _report(path: Path, folder: OpenedFolder) -> dict[str, Any]:
    """Content of report.json, empty if there is none that belongs to this dataset."""
    report = _content(path)
    if "fingerprint" not in report:
        return {}
    missing = {"name", "counts", "splits"} - report.keys()
    if missing or tuple(report.get("names", ())) != folder.classes:
        raise DamagedFileError(f"{path} contradicts {folder.description.name}", "prepare the dataset again")
    return report
