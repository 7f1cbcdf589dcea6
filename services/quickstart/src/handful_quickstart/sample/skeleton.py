"""The gestures, and a hand's shape as bones, in units of its palm's width.

x to the right, y down, the palm's middle at the origin, fingers up: a right hand that shows its back, or a left hand
that shows its palm. z is the height towards the viewer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

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

Point = NDArray[np.float64]
"""(2,): x, y."""

_KNUCKLES = np.array([[-0.37, -0.46], [-0.125, -0.54], [0.125, -0.52], [0.345, -0.41]])
_LENGTHS = np.array([0.95, 1.06, 0.97, 0.76])
_RADII = np.array([0.125, 0.13, 0.122, 0.105])
_SPREAD = np.deg2rad([-13.0, -3.0, 6.0, 17.0])
_ARM_LENGTH = 8.0
"""Enough to leave every picture."""
_PHALANGES = (0.46, 0.3, 0.24)
"""Shares of a finger's length."""


@dataclass(frozen=True, slots=True)
class Bone:
    """A rounded rod with a height."""

    start: Point
    end: Point
    radius: tuple[float, float]
    """At the start and at the end."""
    height: tuple[float, float] = (0.0, 0.0)
    """Of its axis, at the start and at the end."""


@dataclass(frozen=True, slots=True)
class Skeleton:
    """All that is drawn of a hand."""

    palm: Point
    """(n, 2): the palm's outline."""
    arm: Bone
    bones: list[Bone] = field(default_factory=list)
    tips: list[Bone] = field(default_factory=list)
    """Last bones of the fingers that show their nails."""
    folds: list[tuple[Point, Point]] = field(default_factory=list)
    """Lines in the skin."""


def build_skeleton(gesture: Gesture, *, back: bool, rng: np.random.Generator) -> Skeleton:
    """A hand in this shape, slightly different each time.

    Args:
        gesture: which fingers are up.
        back: it shows its back, not its palm.
        rng: where the differences come from.
    """
    slender = rng.uniform(0.88, 1.1)
    knuckles = _KNUCKLES * [1.0, rng.uniform(0.95, 1.05)]
    fan = rng.uniform(0.75, 1.4)
    hand = Skeleton(_palm_outline(knuckles), _arm(rng))
    for number, up in enumerate(gesture.fingers):
        angle = _SPREAD[number] * fan + np.deg2rad(rng.normal(0, 2.5))
        length = _LENGTHS[number] * rng.uniform(0.93, 1.07)
        radius = _RADII[number] * slender
        if up:
            _extended(hand, knuckles[number], angle, length, radius, rng, back=back)
        elif number == 0 and gesture.thumb == "ring":
            _ring_finger(hand, knuckles[0], radius)
        else:
            _folded(hand, knuckles[number], radius, rng, back=back)
    _thumb(hand, gesture, slender, rng, back=back)
    if not back:
        _palm_lines(hand, rng)
    return hand


def _palm_outline(knuckles: Point) -> Point:
    wrist = np.array([[0.29, 0.62], [-0.27, 0.62]])
    heel = np.array([[0.4, 0.25]])
    ball = np.array([[-0.4, 0.28], [-0.46, 0.0]])
    return np.vstack([knuckles + _by(0.0, 0.03), [[0.43, -0.25]], heel, wrist, ball])


def _extended(
    hand: Skeleton, base: Point, angle: float, length: float, radius: float, rng: np.random.Generator, *, back: bool
) -> None:
    at, bend = base, rng.normal(0, 0.05)
    for position, share in enumerate(_PHALANGES):
        direction = np.array([np.sin(angle), -np.cos(angle)])
        end = at + direction * length * share
        taper = (radius * (1 - 0.07 * position), radius * (1 - 0.07 * (position + 1)))
        hand.bones.append(Bone(at, end, taper))
        if position:
            across = np.array([-direction[1], direction[0]]) * radius * 0.75
            hand.folds.append((at - across, at + across))
        at, angle = end, angle + bend
    if back:
        hand.tips.append(hand.bones[-1])


def _folded(hand: Skeleton, base: Point, radius: float, rng: np.random.Generator, *, back: bool) -> None:
    """From behind a folded finger is its knuckle; from the front its middle bone lies on the palm."""
    wide = radius * 1.12
    if back:
        top = base + _by(0.0, -0.1 + rng.uniform(-0.02, 0.02))
        hand.bones.append(Bone(base + _by(0.0, 0.1), top, (wide, wide * 1.05), (0.0, 0.05)))
        return
    top = base + _by(0.0, -0.1)
    tip = base * _by(0.78, 1.0) + _by(0.0, 0.38 + rng.uniform(-0.03, 0.03))
    hand.bones.append(Bone(top, tip, (wide * 1.05, wide * 0.95), (0.1, 0.16)))
    hand.folds.append((tip + _by(-radius, -0.17), tip + _by(radius, -0.17)))


def _ring_finger(hand: Skeleton, base: Point, radius: float) -> None:
    middle, tip = base + _by(-0.3, -0.3), base + _by(-0.56, -0.02)
    hand.bones.append(Bone(base, middle, (radius, radius * 0.95), (0.0, 0.06)))
    hand.bones.append(Bone(middle, tip, (radius * 0.95, radius * 0.8), (0.06, 0.1)))


def _thumb(hand: Skeleton, gesture: Gesture, slender: float, rng: np.random.Generator, *, back: bool) -> None:
    root, radius = np.array([-0.27, 0.34]), 0.15 * slender
    if gesture.thumb == "ring":
        joint, tip = np.array([-0.72, 0.16]), np.array([-0.93, -0.4])
        height = (0.0, 0.06, 0.1)
    elif gesture.thumb == "out":
        angle = np.deg2rad(rng.uniform(-66, -44))
        joint = root + np.array([np.sin(angle), -np.cos(angle)]) * 0.5
        angle += np.deg2rad(rng.uniform(0, 16))
        tip = joint + np.array([np.sin(angle), -np.cos(angle)]) * 0.46
        height = (0.0, 0.02, 0.02)
    elif back:  # Hidden behind the palm but for its root.
        hand.bones.append(Bone(root, np.array([-0.4, 0.02]), (radius * 1.1, radius * 0.9)))
        return
    else:
        joint = np.array([-0.42, 0.02 + rng.uniform(-0.05, 0.05)])
        tip = np.array([0.04 + rng.uniform(-0.06, 0.08), -0.1 + rng.uniform(-0.06, 0.06)])
        height = (0.05, 0.2, 0.27)
    hand.bones.append(Bone(root, joint, (radius * 1.25, radius), (height[0], height[1])))
    hand.bones.append(Bone(joint, tip, (radius, radius * 0.8), (height[1], height[2])))
    if back and gesture.thumb == "out":
        hand.tips.append(hand.bones[-1])


def _palm_lines(hand: Skeleton, rng: np.random.Generator) -> None:
    for line in (
        [[-0.36, -0.2], [-0.1, -0.12], [0.1, -0.02], [0.22, 0.18]],
        [[0.38, -0.2], [0.15, -0.26], [-0.12, -0.36]],
        [[-0.3, -0.14], [-0.14, 0.08], [-0.1, 0.32], [-0.14, 0.5]],
    ):
        points = np.array(line) + rng.normal(0, 0.015, (len(line), 2))
        hand.folds.extend(pairwise(points))


def _arm(rng: np.random.Generator) -> Bone:
    lean = np.deg2rad(rng.normal(0, 12))
    wrist = np.array([0.01, 0.5])
    far = wrist + np.array([np.sin(lean), np.cos(lean)]) * _ARM_LENGTH
    width = rng.uniform(0.27, 0.32)
    return Bone(wrist, far, (width, width * 2.2), (-0.12, -0.12))


def _by(x: float, y: float) -> Point:
    return np.array([x, y])
