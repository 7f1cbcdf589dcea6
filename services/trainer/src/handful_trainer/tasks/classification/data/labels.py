"""From what an image was classified as to one class, and the folders it lies in.

Processes that prepare datasets import this module alone: it stays light.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from handful_trainer.dataset.sources.base import RawItem

SEVERAL = "several_labels"
UNKNOWN = "unknown_label"
DROP_REASONS = (UNKNOWN, SEVERAL)
"""Why a label is left out."""


class ClassLabel(NamedTuple):
    """What an image shows."""

    class_id: int


class DroppedClass(NamedTuple):
    """A label that was left out, and why."""

    label: str
    reason: str


class CleanClass(NamedTuple):
    """An image's class, if it has exactly one."""

    kept: tuple[ClassLabel, ...] = ()
    dropped: tuple[DroppedClass, ...] = ()
    required: bool = True

    @property
    def content(self) -> tuple[ClassLabel, ...]:
        """The same for two images of one class."""
        return self.kept


def clean_class(item: RawItem, class_ids: Mapping[str, int]) -> CleanClass:
    """The one class of an item. Of several different ones none can be trusted. Unknown labels do not count.

    Args:
        item: the asset.
        class_ids: class id by name; labels that are missing here are unknown.
    """
    names = list(dict.fromkeys(item.labels))
    dropped = [DroppedClass(name, UNKNOWN) for name in names if name not in class_ids]
    known = [name for name in names if name in class_ids]
    if len(known) == 1:
        return CleanClass((ClassLabel(class_ids[known[0]]),), tuple(dropped))
    return CleanClass((), (*dropped, *(DroppedClass(name, SEVERAL) for name in known)))


def write_nothing(folder: str, entries: Sequence[Any], *, again: bool = False) -> list[None]:
    """There are no label files: folders say all."""
    del folder, again
    return [None] * len(entries)
