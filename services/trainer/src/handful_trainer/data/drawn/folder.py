"""Writing drawn hands as a YOLO folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import cv2
import yaml

from handful_core.console import progress
from handful_trainer.data.drawn.gestures import CLASSES
from handful_trainer.data.drawn.scene import DrawnBox, draw_scene
from handful_trainer.dataset.errors import OutputExistsError
from handful_trainer.dataset.preparation.write import whole_folder
from handful_trainer.dataset.settings import SampleConfig
from handful_trainer.dataset.sources.base import SPLITS, SplitName
from handful_trainer.dataset.splitting.stratify import Group, stratify
from handful_trainer.tasks.detection.labels import Box, label_line
from handful_trainer.workers import WorkerPool

_FRACTIONS: Mapping[SplitName, float] = {"train": 0.8, "val": 0.1, "test": 0.1}
_QUALITY = 92


def draw_folder(target: Path, settings: SampleConfig, seed: int) -> Path:
    """Draw images into a new folder: images/, labels/, data.yaml.

    Raises:
        OutputExistsError: there is something already.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise OutputExistsError(f"{target} exists and is not empty", "name another folder, or remove it")
    with progress() as bar, whole_folder(target) as folder:
        task = bar.add_task("drawing hands", total=settings.images)
        _draw(folder, settings, seed, lambda done: bar.advance(task, done))
    return target


def _draw(folder: Path, settings: SampleConfig, seed: int, advance: Callable[[int], object]) -> None:
    def draw(number: int) -> list[DrawnBox]:
        pixels, boxes = draw_scene(seed, number, settings.size)
        _, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        (folder / _name(number)).write_bytes(encoded.tobytes())
        return boxes

    with _one_thread_each(), closing(WorkerPool(0)) as crew:
        drawn = list(crew.run(lambda numbers: [draw(number) for number in numbers], range(settings.images), advance))
    groups = [Group(1, frozenset(CLASSES.index(box.label) for box in boxes)) for boxes in drawn]
    for kind in ("images", "labels"):
        for split in SPLITS:
            (folder / kind / split).mkdir(parents=True)
    for number, (boxes, split) in enumerate(zip(drawn, stratify(groups, _FRACTIONS, seed), strict=True)):
        (folder / _name(number)).rename(folder / "images" / split / _name(number))
        lines = [label_line(Box(CLASSES.index(b.label), *b[1:]), settings.size, settings.size) + "\n" for b in boxes]
        (folder / "labels" / split / _name(number)).with_suffix(".txt").write_bytes("".join(lines).encode())
    description = {split: f"images/{split}" for split in SPLITS} | {"names": dict(enumerate(CLASSES))}
    note = "# Hands drawn by Handful's program: no photos.\n"
    (folder / "data.yaml").write_text(note + yaml.safe_dump(description, sort_keys=False), encoding="utf-8")


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Keep OpenCV from starting threads of its own: there is one picture for each processor already."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _name(number: int) -> str:
    return f"drawn-{number:05d}.jpg"
