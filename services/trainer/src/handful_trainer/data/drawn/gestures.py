"""Which fingers a hand holds up, and what that counts."""

from __future__ import annotations

from typing import Literal, NamedTuple

CLASSES = ("0", "1", "2", "3", "4", "5", "unknown")
"""Class names of the drawn hands."""

ThumbPose = Literal["out", "across", "ring"]


class Gesture(NamedTuple):
    """A hand's shape."""

    label: str
    fingers: tuple[bool, bool, bool, bool]
    """Held up or folded: index, middle, ring and little finger."""
    thumb: ThumbPose
    """Held out, laid across the palm, or closed to a ring with the index finger."""


GESTURES: dict[str, tuple[tuple[Gesture, int], ...]] = {
    "0": ((Gesture("0", (False, False, False, False), "across"), 1),),
    "1": ((Gesture("1", (True, False, False, False), "across"), 1),),
    "2": (
        (Gesture("2", (True, True, False, False), "across"), 4),
        (Gesture("2", (True, False, False, False), "out"), 1),
    ),
    "3": (
        (Gesture("3", (True, True, True, False), "across"), 3),
        (Gesture("3", (True, True, False, False), "out"), 1),
    ),
    "4": ((Gesture("4", (True, True, True, True), "across"), 1),),
    "5": ((Gesture("5", (True, True, True, True), "out"), 1),),
    "unknown": (
        (Gesture("unknown", (True, False, False, True), "across"), 2),
        (Gesture("unknown", (False, False, False, True), "out"), 2),
        (Gesture("unknown", (False, True, True, True), "ring"), 2),
    ),
}
"""The shapes of each class, with how often each is drawn. Unknown are horns, a telephone, and a ring of two fingers."""
