"""An image and its labels, as they are put into a prepared folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from handful_trainer.data.boxes import Box, label_line
from handful_trainer.data.facts import Treatment
from handful_trainer.data.placing import Placer

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


class Entry(NamedTuple):
    """What is put where. Small: it is sent to another process."""

    source: str
    """The image's file."""
    treatment: Treatment
    image: str
    """Split and name of the image in the prepared folder: train/0a1b.jpg."""
    labels: str
    """Split and name of its label file."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    boxes: tuple[Box, ...]


def place_all(folder: str, placer: Placer, entries: Sequence[Entry]) -> list[None]:
    """Write images and labels. Without Path, which would take longer than the writing.

    Raises:
        OSError: one cannot be written, or is there already.
    """
    for entry in entries:
        _place(folder, placer, entry)
    return [None] * len(entries)


def _place(folder: str, placer: Placer, entry: Entry) -> None:
    placer.place(entry.source, f"{folder}/images/{entry.image}", entry.treatment)
    lines = "".join([f"{label_line(box, entry.width, entry.height)}\n" for box in entry.boxes])
    labels = os.open(f"{folder}/labels/{entry.labels}", _NEW)
    try:
        os.write(labels, lines.encode())
    finally:
        os.close(labels)
