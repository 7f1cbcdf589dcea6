"""Images and labels as they are put into a prepared folder. Small: they are sent to another process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from handful_trainer.dataset.inspection.facts import WriteMode
from handful_trainer.dataset.preparation.link import FileLinker
from handful_trainer.tasks.detection.labels import Box, label_line

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


class ImageEntry(NamedTuple):
    """An image that is put somewhere."""

    source: str
    """Its file."""
    name: str
    """Split and name in the prepared folder: train/0a1b.jpg."""
    treatment: WriteMode


class LabelEntry(NamedTuple):
    """An image's label file."""

    name: str
    """Split and name: train/0a1b.txt."""
    width: int
    """Pixels of the image."""
    height: int
    """Pixels of the image."""
    boxes: tuple[Box, ...]


def place_images(folder: str, placer: FileLinker, entries: Sequence[ImageEntry], *, again: bool = False) -> list[None]:
    """Bring images into the folder.

    Args:
        folder: where to.
        placer: knows how.
        entries: the images.
        again: some may be there already, or half of one: they are replaced.

    Raises:
        OSError: one cannot be written, or is there already.
    """
    if again:
        _remove(folder, entries)
    for source, name, treatment in entries:
        placer.place(source, f"{folder}/{name}", treatment)
    return [None] * len(entries)


def write_labels(folder: str, entries: Sequence[LabelEntry], *, again: bool = False) -> list[None]:
    """Write label files into the folder. Without Path, which would take longer than the writing.

    Args:
        folder: where to.
        entries: the label files.
        again: some may be there already, or half of one: they are replaced.

    Raises:
        OSError: one cannot be written, or is there already.
    """
    if again:
        _remove(folder, entries)
    for name, width, height, boxes in entries:
        lines = "".join([f"{label_line(box, width, height)}\n" for box in boxes])
        file = os.open(f"{folder}/{name}", _NEW)
        try:
            os.write(file, lines.encode())
        finally:
            os.close(file)
    return [None] * len(entries)


def _remove(folder: str, entries: Sequence[ImageEntry | LabelEntry]) -> None:
    for entry in entries:
        Path(folder, entry.name).unlink(missing_ok=True)
