"""From a skeleton to a relief: how high each pixel of a hand stands out."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from handful_quickstart.sample.skeleton import Bone, Skeleton

_FINER = 2
"""Shapes are raised so many times larger and made smaller, for smooth edges."""

Plane = NDArray[np.float32]
"""(height, width)."""


@dataclass(frozen=True, slots=True)
class Relief:
    """A hand seen from above, in pixels of a canvas."""

    height: Plane
    """Height in pixels, 0 where nothing is."""
    hand: Plane
    """Cover by the hand without the arm, 0 to 1."""
    arm: Plane
    """Cover by the arm where the hand does not hide it, 0 to 1."""
    folds: Plane
    """Depth of lines in the skin, 0 to 1."""
    nails: Plane
    """Cover by finger nails, 0 to 1."""
    along_arm: Plane
    """Distance along the arm from the wrist, in palm widths."""


@dataclass(frozen=True, slots=True)
class View:
    """From palm widths to pixels: turned, mirrored, foreshortened, scaled and moved."""

    matrix: NDArray[np.float64]
    """(2, 2)."""
    centre: NDArray[np.float64]
    """(2,): where the palm's middle comes to lie, in pixels."""
    scale: float
    """Pixels of a palm's width, for what is measured without direction."""

    def points(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(…, 2) in palm widths, to pixels."""
        return points @ self.matrix.T + self.centre

    def bone(self, bone: Bone) -> Bone:
        """The bone in pixels."""
        radius = (bone.radius[0] * self.scale, bone.radius[1] * self.scale)
        height = (bone.height[0] * self.scale, bone.height[1] * self.scale)
        return Bone(self.points(bone.start), self.points(bone.end), radius, height)

    def moved(self, corner: NDArray[np.int64]) -> View:
        """The same view on a canvas that begins at `corner`."""
        return View(self.matrix, self.centre - corner, self.scale)

    def finer(self, factor: int) -> View:
        """The same view on a canvas that has `factor` pixels where this one has one."""
        return View(self.matrix * factor, self.centre * factor, self.scale * factor)


def raise_relief(skeleton: Skeleton, view: View, size: tuple[int, int]) -> Relief:
    """Raise a hand on a canvas of `size` = width, height pixels."""
    fine = view.finer(_FINER)
    raised = np.zeros((size[1] * _FINER, size[0] * _FINER), np.float32)
    _raise_palm(raised, fine.points(skeleton.palm), fine.scale)
    for bone in skeleton.bones:
        _raise_bone(raised, fine.bone(bone))
    hand = (raised > 0).astype(np.float32)
    arm, along = np.zeros_like(raised), np.zeros_like(raised)
    _raise_bone(arm, fine.bone(skeleton.arm), along)
    along *= float(np.hypot(*(skeleton.arm.end - skeleton.arm.start)))
    np.maximum(raised, arm, out=raised)
    arm = (raised > 0).astype(np.float32) - hand
    raised, hand, arm, along = (_shrunk(plane, size) for plane in (raised, hand, arm, along))
    return Relief(
        height=np.asarray(cv2.GaussianBlur(raised / _FINER, (0, 0), max(0.4, view.scale * 0.016)), np.float32),
        hand=hand,
        arm=arm,
        folds=_folds(skeleton, view, raised.shape),
        nails=_nails(skeleton, view, raised.shape),
        along_arm=along,
    )


def _shrunk(plane: Plane, size: tuple[int, int]) -> Plane:
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)


def _raise_palm(raised: Plane, outline: NDArray[np.float64], scale: float) -> None:
    mask = np.zeros(raised.shape, np.uint8)
    corners = [np.round(outline * 16).astype(np.int32)]
    cv2.fillPoly(mask, corners, 255, shift=4)
    cv2.polylines(mask, corners, True, 255, max(3, round(scale * 0.2)), shift=4)
    inside = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    edge = np.clip(inside / (scale * 0.3), 0, 1)
    np.maximum(raised, np.sqrt(1 - (1 - edge) ** 2) * (scale * 0.14), out=raised, where=inside > 0)


def _raise_bone(raised: Plane, bone: Bone, along: Plane | None = None) -> None:
    """Lay a rounded rod onto the relief, where it is the higher one."""
    far = max(bone.radius) + 1
    left, top = np.floor(np.minimum(bone.start, bone.end) - far).astype(int).clip(0)
    right, bottom = np.ceil(np.maximum(bone.start, bone.end) + far).astype(int) + 1
    window = raised[top:bottom, left:right]
    if window.size == 0:
        return
    start, axis = bone.start.astype(np.float32), (bone.end - bone.start).astype(np.float32)
    y = np.arange(top, top + window.shape[0], dtype=np.float32)[:, None] - start[1]
    x = np.arange(left, left + window.shape[1], dtype=np.float32) - start[0]
    t = np.clip((x * axis[0] + y * axis[1]) / max(float(axis @ axis), 1e-6), 0, 1)
    radius = bone.radius[0] + t * np.float32(bone.radius[1] - bone.radius[0])
    depth = radius**2 - (x - t * axis[0]) ** 2 - (y - t * axis[1]) ** 2
    inside = depth > 0
    height = np.sqrt(np.maximum(depth, 0)) + bone.height[0] + t * np.float32(bone.height[1] - bone.height[0])
    np.maximum(window, np.maximum(height, 1e-3), out=window, where=inside)
    if along is not None:
        along[top:bottom, left:right] = t


def _folds(skeleton: Skeleton, view: View, shape: tuple[int, ...]) -> Plane:
    plane = np.zeros(shape, np.float32)
    thick = max(1, round(view.scale * 0.018))
    for start, end in skeleton.folds:
        a, b = (tuple(np.round(view.points(p) * 16).astype(int).tolist()) for p in (start, end))
        cv2.line(plane, a, b, 1.0, thick, cv2.LINE_AA, shift=4)
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), max(0.5, view.scale * 0.012)), np.float32)


def _nails(skeleton: Skeleton, view: View, shape: tuple[int, ...]) -> Plane:
    plane = np.zeros(shape, np.float32)
    for tip in skeleton.tips:
        bone = view.bone(tip)
        direction = bone.end - bone.start
        angle = float(np.degrees(np.arctan2(direction[1], direction[0])))
        radius = bone.radius[1]
        middle = bone.end + direction / max(float(np.hypot(*direction)), 1e-6) * radius * 0.12
        centre = np.round(middle * 16).astype(int).tolist()
        axes = (round(radius * 0.66 * 16), round(radius * 0.52 * 16))
        cv2.ellipse(plane, centre, axes, angle, 0, 360, 1.0, -1, cv2.LINE_AA, shift=4)
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), max(0.5, view.scale * 0.01)), np.float32)
