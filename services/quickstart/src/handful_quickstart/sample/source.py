"""The dataset sources `sample` and `sample-leaves`: drawn hands in a YOLO folder, drawn leaves in class folders."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from handful_core.console import progress
from handful_quickstart.sample.leaf import LEAF_CLASSES, draw_leaf
from handful_quickstart.sample.scene import DrawnBox, draw_scene
from handful_quickstart.sample.skeleton import CLASSES
from handful_trainer.dataset.errors import OutputExistsError
from handful_trainer.dataset.preparation.index import FORMAT
from handful_trainer.dataset.preparation.write import whole_folder
from handful_trainer.dataset.settings import DatasetConfig, SampleConfig
from handful_trainer.dataset.sources.base import SPLITS, RawDataset, SplitName
from handful_trainer.dataset.sources.folder import ClassFolderSource
from handful_trainer.dataset.sources.yolo.source import YoloSource
from handful_trainer.dataset.splitting.stratify import Group, stratify
from handful_trainer.tasks.detection.labels import Box, label_line
from handful_trainer.workers import WorkerPool

_FRACTIONS: Mapping[SplitName, float] = {"train": 0.8, "val": 0.1, "test": 0.1}
_QUALITY = 92
_Drawing = TypeVar("_Drawing")


class SampleSource:
    """Draws hands into Handful's folder, once for each size and seed. Every file name says that it is a drawing."""

    def __init__(self, config: DatasetConfig, home: Path) -> None:
        self._settings, self._seed = config.sample, config.seed
        name = f"{config.sample.images}x{config.sample.size}-seed{config.seed}-v{FORMAT}"
        self._folder = home / "drawn" / name

    def roots(self) -> tuple[Path, ...]:
        """Nothing: the settings say all."""
        return ()

    def read(self) -> RawDataset:
        """The drawn images, not yet split."""
        if not self._folder.exists():
            draw_folder(self._folder, self._settings, self._seed)
        found = YoloSource(DatasetConfig(source="yolo", path=self._folder), self._folder).read()
        items = tuple(item._replace(id=Path(item.name).stem, split=None) for item in found.items)
        return RawDataset(items, classes=found.classes, accounts=found.accounts)


class LeafSampleSource:
    """Draws leaves into Handful's folder, once for each size and seed. Every file name says that it is a drawing."""

    def __init__(self, config: DatasetConfig, home: Path) -> None:
        self._settings, self._seed = config.sample, config.seed
        name = f"leaves-{config.sample.images}x{config.sample.size}-seed{config.seed}-v{FORMAT}"
        self._folder = home / "drawn" / name

    def roots(self) -> tuple[Path, ...]:
        """Nothing: the settings say all."""
        return ()

    def read(self) -> RawDataset:
        """The drawn images, not yet split."""
        if not self._folder.exists():
            draw_leaf_folder(self._folder, self._settings, self._seed)
        found = ClassFolderSource(DatasetConfig(source="folder", path=self._folder), self._folder).read()
        return replace(found, items=tuple(item._replace(id=Path(item.name).stem) for item in found.items))


def draw_leaf_folder(target: Path, settings: SampleConfig, seed: int) -> Path:
    """Draw leaves into a new folder: a folder for each class.

    Raises:
        OutputExistsError: there is something already.
    """
    _require_empty(target)
    with progress() as bar, whole_folder(target) as folder:
        for name in LEAF_CLASSES:
            (folder / name).mkdir()
        task = bar.add_task("drawing leaves", total=settings.images)

        def draw(number: int) -> None:
            pixels, name = draw_leaf(seed, number, settings.size)
            _write_drawing(folder / name / _name(number), pixels)

        _drawn(draw, settings.images, lambda done: bar.advance(task, done))
    return target


def draw_folder(target: Path, settings: SampleConfig, seed: int) -> Path:
    """Draw images into a new folder: images/, labels/, data.yaml.

    Raises:
        OutputExistsError: there is something already.
    """
    _require_empty(target)
    with progress() as bar, whole_folder(target) as folder:
        task = bar.add_task("drawing hands", total=settings.images)
        scenes = _draw_images(folder, settings, seed, lambda done: bar.advance(task, done))
        _split_and_label(folder, scenes, settings.size, seed)
        _write_data_yaml(folder)
    return target


def _draw_images(
    folder: Path, settings: SampleConfig, seed: int, advance: Callable[[int], object]
) -> list[list[DrawnBox]]:
    """Draw all images into the folder, on all processors; the boxes of each."""

    def draw(number: int) -> list[DrawnBox]:
        pixels, boxes = draw_scene(seed, number, settings.size)
        _write_drawing(folder / _name(number), pixels)
        return boxes

    return _drawn(draw, settings.images, advance)


def _drawn(draw: Callable[[int], _Drawing], images: int, advance: Callable[[int], object]) -> list[_Drawing]:
    """What drawing each image gave; the work of all processors."""
    with _single_threaded_opencv(), closing(WorkerPool(0)) as pool:
        return list(pool.run(lambda numbers: [draw(number) for number in numbers], range(images), advance))


def _write_drawing(path: Path, pixels: NDArray[np.uint8]) -> None:
    _, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    path.write_bytes(encoded.tobytes())


def _require_empty(target: Path) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise OutputExistsError(f"{target} exists and is not empty", "name another folder, or remove it")


def _split_and_label(folder: Path, scenes: list[list[DrawnBox]], size: int, seed: int) -> None:
    """Move each image to its split, and write its label file."""
    for kind in ("images", "labels"):
        for split in SPLITS:
            (folder / kind / split).mkdir(parents=True)
    groups = [Group(1, frozenset(CLASSES.index(box.label) for box in boxes)) for boxes in scenes]
    for number, (boxes, split) in enumerate(zip(scenes, stratify(groups, _FRACTIONS, seed), strict=True)):
        (folder / _name(number)).rename(folder / "images" / split / _name(number))
        lines = [label_line(Box(CLASSES.index(box.label), *box[1:]), size, size) + "\n" for box in boxes]
        (folder / "labels" / split / _name(number)).with_suffix(".txt").write_bytes("".join(lines).encode())


def _write_data_yaml(folder: Path) -> None:
    content = {split: f"images/{split}" for split in SPLITS} | {"names": dict(enumerate(CLASSES))}
    note = "# Hands drawn by Handful's program: no photos.\n"
    (folder / "data.yaml").write_text(note + yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


@contextmanager
def _single_threaded_opencv() -> Iterator[None]:
    """Keep OpenCV from starting threads of its own: every processor draws an image already."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _name(number: int) -> str:
    return f"drawn-{number:05d}.jpg"
