"""One leaf on a backdrop, healthy or with the signs of a disease."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from handful_quickstart.sample.backdrop import draw_backdrop
from handful_quickstart.sample.scene import photograph
from handful_quickstart.sample.skin import Colours, bgr

Plane = NDArray[np.float32]
"""(size, size), 0 to 1."""

LEAF_CLASSES = ("healthy", "leaf_spot", "mildew", "rust")
_EDGE = 48
"""Points along one edge of the blade."""
_VEINS = 6


def draw_leaf(seed: int, number: int, size: int) -> tuple[NDArray[np.uint8], str]:
    """Draw a picture of one leaf; the same arguments give the same one.

    Args:
        seed: of the whole dataset.
        number: of the picture in it. Classes take turns by it.
        size: side in pixels.

    Returns:
        (size, size, 3) uint8, blue green red, and the class.
    """
    rng = np.random.default_rng([seed, number])
    canvas = draw_backdrop(size, rng)
    name = LEAF_CLASSES[number % len(LEAF_CLASSES)]
    place = _Placed(size, rng)
    blade = place.filled(_outline(rng))
    leaf = _surface(place, rng)
    _SIGNS[name](leaf, blade, size, rng)
    canvas += cv2.GaussianBlur(blade, (0, 0), size / 400)[..., None] * (leaf - canvas)
    return photograph(canvas, rng), name


class _Placed:
    """Where the leaf lies: from its own coordinates (-1 to 1 along it, -1 to 1 across) to pixels."""

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        turn, reach = rng.uniform(0, 2 * np.pi), size * rng.uniform(0.36, 0.48)
        along = np.array([np.cos(turn), np.sin(turn)])
        self._axes = np.array([along, [-along[1], along[0]]]) * reach
        self._centre = size / 2 + rng.uniform(-0.06, 0.06, 2) * size
        self.size = size

    def points(self, own: NDArray[np.float64]) -> NDArray[np.int32]:
        """(n, 2) in the leaf's coordinates to whole pixels."""
        return np.asarray((own @ self._axes + self._centre).round(), np.int32)

    def filled(self, outline: NDArray[np.float64]) -> Plane:
        """1 inside of an outline (n, 2)."""
        plane = np.zeros((self.size, self.size), np.float32)
        cv2.fillPoly(plane, [self.points(outline)], (1.0,), cv2.LINE_AA)
        return plane

    def line(self, plane: Plane, start: tuple[float, float], end: tuple[float, float], width: int) -> None:
        """Draw a line between two points in the leaf's coordinates."""
        a, b = self.points(np.array([start, end]))
        cv2.line(plane, (int(a[0]), int(a[1])), (int(b[0]), int(b[1])), (1.0,), width, cv2.LINE_AA)


def _outline(rng: np.random.Generator) -> NDArray[np.float64]:
    """A blade with a pointed tip, its widest part nearer to the stalk; some have teeth."""
    t = np.linspace(0, 1, _EDGE)
    width = np.sin(np.pi * t ** rng.uniform(0.65, 0.9)) * rng.uniform(0.38, 0.6)
    width *= 1 + rng.uniform(0, 0.07) * np.sign(np.sin(t * rng.integers(30, 60)))
    along = 2 * t - 1
    return np.concatenate([np.stack([along, width], 1), np.stack([along, -width], 1)[::-1]])


def _surface(place: _Placed, rng: np.random.Generator) -> Colours:
    """A green of its own, uneven, with paler veins."""
    size = place.size
    green = bgr(rng.uniform(0.08, 0.25), rng.uniform(0.35, 0.6), rng.uniform(0.12, 0.35))
    uneven = cv2.resize(rng.standard_normal((7, 7), np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    leaf = green * (1 + 0.09 * uneven[..., None])
    veins = np.zeros((size, size), np.float32)
    thin = max(1, size // 110)
    place.line(veins, (-1, 0), (0.95, 0), 2 * thin)
    for at in np.linspace(-0.75, 0.55, _VEINS):
        for side in (-1, 1):
            place.line(veins, (at, 0), (at + 0.35, side * 0.5), thin)
    soft = np.asarray(cv2.GaussianBlur(veins, (0, 0), size / 250), np.float32)
    return np.asarray(leaf + soft[..., None] * rng.uniform(0.05, 0.16), np.float32)


def _healthy(leaf: Colours, blade: Plane, size: int, rng: np.random.Generator) -> None:
    """At most a shine."""
    if rng.random() < 0.5:
        leaf += _blots(blade, size, int(rng.integers(1, 3)), (0.05, 0.12), size / 14, rng)[..., None] * 0.12


def _leaf_spot(leaf: Colours, blade: Plane, size: int, rng: np.random.Generator) -> None:
    """Some round brown spots in yellow halos."""
    chosen = rng.integers(2**31)
    count = int(rng.integers(3, 9))
    for factor, soft, colour in ((1.8, 70, bgr(0.2, 0.68, 0.72)), (1.0, 300, bgr(0.1, 0.2, 0.34))):
        spots = _blots(blade, size, count, (0.025 * factor, 0.05 * factor), size / soft, np.random.default_rng(chosen))
        leaf += spots[..., None] * (colour - leaf)


def _mildew(leaf: Colours, blade: Plane, size: int, rng: np.random.Generator) -> None:
    """White, powdery patches."""
    patches = _blots(blade, size, int(rng.integers(3, 8)), (0.05, 0.11), size / 22, rng)
    powder = rng.uniform(0.6, 1, (size, size)).astype(np.float32)
    leaf += (patches * powder * np.float32(rng.uniform(0.6, 0.9)))[..., None] * (bgr(0.87, 0.9, 0.88) - leaf)


def _rust(leaf: Colours, blade: Plane, size: int, rng: np.random.Generator) -> None:
    """Many small orange pustules."""
    pustules = _blots(blade, size, int(rng.integers(35, 90)), (0.006, 0.016), size / 350, rng)
    leaf += pustules[..., None] * (bgr(0.08, rng.uniform(0.34, 0.45), rng.uniform(0.7, 0.85)) - leaf)


def _blots(
    blade: Plane, size: int, count: int, radii: tuple[float, float], soft: float, rng: np.random.Generator
) -> Plane:
    """Round blots at places of the blade; radii are shares of the picture, `soft` is the blur in pixels."""
    plane = np.zeros((size, size), np.float32)
    inside = np.argwhere(blade > 0.9)
    for row, column in inside[rng.integers(len(inside), size=count)]:
        radius = max(1, round(float(rng.uniform(*radii)) * size))
        cv2.circle(plane, (int(column), int(row)), radius, (1.0,), -1, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), max(0.4, soft)), np.float32)


_SIGNS: Mapping[str, Callable[[Colours, Plane, int, np.random.Generator], None]] = {
    "healthy": _healthy,
    "leaf_spot": _leaf_spot,
    "mildew": _mildew,
    "rust": _rust,
}
