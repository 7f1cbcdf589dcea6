"""A picture with some hands, or none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from handful_quickstart.sample.backdrop import draw_backdrop
from handful_quickstart.sample.relief import Plane, View, raise_relief
from handful_quickstart.sample.skeleton import CLASSES, GESTURES, Gesture, Skeleton, build_skeleton
from handful_quickstart.sample.skin import Colours, Light, paint_hand

_HOW_MANY = (0.1, 0.5, 0.28, 0.12)
"""Chance of 0, 1, 2 and 3 hands."""
_SIZES = {1: (0.22, 0.38), 2: (0.19, 0.27), 3: (0.16, 0.21)}
"""Palm width as a share of the picture, by the number of hands."""
_OVERLAP = 0.05
"""Share of the smaller of two boxes that may lie in the other."""
_TRIES = 24
_BACKS = 0.35
"""Share of hands that show their back."""


class DrawnBox(NamedTuple):
    """Where a hand is, without its arm; pixels."""

    label: str
    left: float
    top: float
    right: float
    bottom: float


def draw_scene(seed: int, number: int, size: int) -> tuple[NDArray[np.uint8], list[DrawnBox]]:
    """Draw a picture; the same arguments give the same one.

    Args:
        seed: of the whole dataset.
        number: of the picture in it. Classes take turns by it.
        size: side in pixels.

    Returns:
        (size, size, 3) uint8, blue green red, and the boxes of the hands in it.
    """
    rng = np.random.default_rng([seed, number])
    canvas = draw_backdrop(size, rng)
    light = Light.random(rng)
    boxes: list[DrawnBox] = []
    wanted = int(rng.choice(len(_HOW_MANY), p=_HOW_MANY))
    for hand in range(wanted):
        label = CLASSES[(number + hand * 3 + int(rng.integers(2))) % len(CLASSES)]
        _add_hand(canvas, label, _SIZES[wanted], boxes, light, rng)
    return photograph(canvas, rng), boxes


def _add_hand(
    canvas: Colours,
    label: str,
    sizes: tuple[float, float],
    boxes: list[DrawnBox],
    light: Light,
    rng: np.random.Generator,
) -> None:
    """Draw a hand where there is room for it; leave it out where there is none."""
    back = bool(rng.random() < _BACKS)
    skeleton = build_skeleton(_gesture(label, rng), back=back, rng=rng)
    view = _find_room(skeleton, sizes, canvas.shape[0], boxes, rng)
    if view is None:
        return
    corner, far = _window(skeleton, view, canvas.shape[0])
    width, height = (far - corner).tolist()
    relief = raise_relief(skeleton, view.moved(corner), (width, height))
    painted = paint_hand(relief, light, view.scale, back=back, rng=rng)
    cover = np.clip(relief.hand + relief.arm, 0, 1)
    part = canvas[corner[1] : far[1], corner[0] : far[0]]
    _cast_shadow(part, cover, light, view.scale)
    part += cover[..., None] * (painted - part)
    boxes.append(box_of(label, relief.hand, corner))


def box_of(label: str, cover: Plane, corner: NDArray[np.int64]) -> DrawnBox:
    """The smallest box around what is covered, for a canvas that begins at `corner`."""
    columns, rows = (np.flatnonzero((cover > 0.5).any(axis)) for axis in (0, 1))
    left, top = corner.tolist()
    return DrawnBox(label, left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1)


def _find_room(
    skeleton: Skeleton, sizes: tuple[float, float], size: int, boxes: Sequence[DrawnBox], rng: np.random.Generator
) -> View | None:
    """A view in which the hand is inside the picture, and neither it nor its arm hides another hand."""
    joints = np.vstack([skeleton.palm, *[(bone.start, bone.end) for bone in skeleton.bones]])
    arm = np.linspace(skeleton.arm.start, skeleton.arm.end, 40)
    for _ in range(_TRIES):
        view = _view(size, sizes, rng)
        points = view.points(joints)
        low, high = points.min(0) - view.scale * 0.1, points.max(0) + view.scale * 0.1
        inside = (low >= 0).all() and (high <= size).all()
        if inside and not any(_hides(box, low, high, view.points(arm), view.scale * 0.35) for box in boxes):
            return view
    return None


def _window(skeleton: Skeleton, view: View, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The part of the picture that hand, arm and shadow fall into: its corners, in whole pixels."""
    joints = np.vstack([skeleton.palm, *[(bone.start, bone.end) for bone in (*skeleton.bones, skeleton.arm)]])
    points = view.points(joints)
    low = np.floor(points.min(0) - view.scale).clip(0, size).astype(np.int64)
    return low, np.ceil(points.max(0) + view.scale).clip(0, size).astype(np.int64)


def _gesture(label: str, rng: np.random.Generator) -> Gesture:
    shapes, weights = zip(*GESTURES[label], strict=True)
    chosen = rng.choice(len(shapes), p=np.array(weights) / sum(weights))
    shape: Gesture = shapes[int(chosen)]
    return shape


def _view(size: int, sizes: tuple[float, float], rng: np.random.Generator) -> View:
    scale = rng.uniform(*sizes) * size
    turn = np.deg2rad(np.clip(rng.normal(0, 17), -50, 50))
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    shorten = np.diag([mirror * rng.uniform(0.82, 1.05), rng.uniform(0.88, 1.05)])
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    centre = rng.uniform(scale * 0.6, size - scale * 0.6, 2)
    return View(rotation @ shorten * scale, centre, float(scale))


def _hides(
    box: DrawnBox, low: NDArray[np.float64], high: NDArray[np.float64], arm: NDArray[np.float64], thick: float
) -> bool:
    """Would a hand from `low` to `high`, or its arm along these points, lie on the hand in `box`?"""
    near = (arm > [box.left - thick, box.top - thick]) & (arm < [box.right + thick, box.bottom + thick])
    shared = np.minimum(high, [box.right, box.bottom]) - np.maximum(low, [box.left, box.top])
    smaller = min(float(np.prod(high - low)), (box.right - box.left) * (box.bottom - box.top))
    return bool(near.all(1).any()) or bool((shared > 0).all() and float(np.prod(shared)) > _OVERLAP * smaller)


def _cast_shadow(canvas: Colours, cover: NDArray[np.float32], light: Light, scale: float) -> None:
    shift = -light.direction[:2] * scale * 0.3
    moved = cv2.warpAffine(cover, np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float32), cover.shape[::-1])
    canvas *= 1 - 0.4 * cv2.GaussianBlur(moved, (0, 0), max(1.0, scale * 0.12))[..., None]


def photograph(canvas: Colours, rng: np.random.Generator) -> NDArray[np.uint8]:
    """What a small camera makes of it: exposure, contrast, colour cast, blur and grain."""
    size = canvas.shape[0]
    picture = canvas * np.float32(rng.uniform(0.97, 1.03, 3)) * np.float32(rng.uniform(0.8, 1.2))
    picture = np.clip(picture, 0, 1) ** np.float32(rng.uniform(0.8, 1.2))
    if rng.random() < 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.3, 0.9)) * size / 224)
    grain = rng.standard_normal((size, size, 1), np.float32) * np.float32(rng.uniform(0.002, 0.025))
    return np.asarray(np.clip((picture + grain) * 255, 0, 255), np.uint8)
