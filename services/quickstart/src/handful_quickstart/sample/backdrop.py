"""What lies behind the hands."""

from __future__ import annotations

import cv2
import numpy as np

from handful_quickstart.sample.skin import Colours, bgr


def draw_backdrop(size: int, rng: np.random.Generator) -> Colours:
    """A wall, boards, tiles, a shelf, a park or a blur, with things in it; (size, size, 3)."""
    kind = rng.choice(len(_KINDS))
    canvas = np.ascontiguousarray(_KINDS[kind](size, rng), np.float32)
    for _ in range(int(rng.integers(0, 4))):
        _thing(canvas, rng)
    blur = float(rng.uniform(0.4, 3.5)) * size / 224
    canvas = np.asarray(cv2.GaussianBlur(canvas, (0, 0), blur), np.float32)
    return np.asarray(np.clip(canvas * _falloff(size, rng)[..., None], 0, 1), np.float32)


def _colour(rng: np.random.Generator, low: float = 0.1, high: float = 0.9) -> Colours:
    grey = rng.uniform(low, high)
    return np.asarray(np.clip(grey + rng.normal(0, 0.09, 3), 0.02, 0.98), np.float32)


def _noise(size: int, cells: int, rng: np.random.Generator) -> Colours:
    small = rng.standard_normal((cells, cells, 3), np.float32)
    return np.asarray(cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC), np.float32)


def _wall(size: int, rng: np.random.Generator) -> Colours:
    canvas = np.broadcast_to(_colour(rng, 0.2), (size, size, 3)) + _noise(size, size // 3, rng) * 0.02
    return np.asarray(canvas + _noise(size, 4, rng) * 0.05, np.float32)


def _boards(size: int, rng: np.random.Generator) -> Colours:
    base = rng.uniform([0.12, 0.25, 0.4], [0.45, 0.55, 0.7])
    canvas = np.empty((size, size, 3), np.float32)
    width = int(rng.integers(size // 8, size // 3))
    for left in range(0, size, width):
        canvas[:, left : left + width] = base * rng.uniform(0.75, 1.2)
        canvas[:, left : left + 2] *= 0.6
    grain = cv2.resize(rng.standard_normal((6, size // 2), np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    canvas *= 1 + grain[..., None] * 0.06
    return np.ascontiguousarray(canvas.swapaxes(0, 1)) if rng.random() < 0.5 else canvas


def _tiles(size: int, rng: np.random.Generator) -> Colours:
    a, b = _colour(rng, 0.3), _colour(rng, 0.2, 0.8)
    cell = int(rng.integers(size // 10, size // 4))
    y, x = np.indices((size, size)) // cell
    canvas = np.where(((x + y) % 2 == 0)[..., None], a, a + (b - a) * np.float32(rng.uniform(0.1, 0.8)))
    return np.asarray(canvas + _noise(size, size // 4, rng) * 0.015, np.float32)


def _shelf(size: int, rng: np.random.Generator) -> Colours:
    canvas = np.broadcast_to(_colour(rng, 0.1, 0.4), (size, size, 3)).astype(np.float32)
    row = int(rng.integers(size // 5, size // 2))
    for top in range(0, size, row):
        left = 0
        while left < size:
            width = int(rng.integers(size // 28, size // 9))
            height = int(row * rng.uniform(0.55, 0.95))
            canvas[top + row - height : top + row - 3, left : left + width - 1] = _colour(rng, 0.05, 0.85)
            left += width
    return canvas


def _park(size: int, rng: np.random.Generator) -> Colours:
    sky, green = bgr(0.92, 0.8, 0.65), rng.uniform([0.1, 0.25, 0.1], [0.3, 0.5, 0.35])
    line = int(size * rng.uniform(0.2, 0.7))
    canvas = np.broadcast_to(green, (size, size, 3)).astype(np.float32)
    canvas[:line] = sky * rng.uniform(0.7, 1.05)
    bushes = np.clip(_noise(size, 12, rng)[line:, :, :1], 0, None)
    canvas[line:] *= 1 - 0.35 * bushes
    clouds = np.clip(_noise(size, 6, rng)[:line, :, :1], 0, None)
    canvas[:line] += 0.12 * clouds
    return np.asarray(canvas + _noise(size, size // 5, rng) * 0.02, np.float32)


def _blur(size: int, rng: np.random.Generator) -> Colours:
    canvas = (
        np.broadcast_to(_colour(rng), (size, size, 3))
        + _noise(size, 5, rng).mean(2, keepdims=True) * 0.3
        + _noise(size, 4, rng) * 0.08
    )
    return np.asarray(canvas, np.float32)


_KINDS = (_wall, _wall, _boards, _tiles, _shelf, _park, _blur)


def _thing(canvas: Colours, rng: np.random.Generator) -> None:
    """A box, a ball or a stick of some colour: things that are no hands."""
    size = canvas.shape[0]
    colour = _colour(rng).tolist()
    x, y = (int(v) for v in rng.integers(0, size, 2))
    reach = int(rng.integers(size // 14, size // 4))
    kind = rng.integers(3)
    if kind == 0:
        cv2.rectangle(canvas, (x, y), (x + reach, y + int(reach * rng.uniform(0.4, 2))), colour, -1)
    elif kind == 1:
        cv2.circle(canvas, (x, y), reach // 2, colour, -1, cv2.LINE_AA)
    else:
        angle = rng.uniform(0, np.pi)
        end = (int(x + reach * 2 * np.cos(angle)), int(y + reach * 2 * np.sin(angle)))
        cv2.line(canvas, (x, y), end, colour, max(2, reach // 5), cv2.LINE_AA)


def _falloff(size: int, rng: np.random.Generator) -> Colours:
    """Light that gets weaker from one side to the other."""
    angle, depth = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.45)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
    return np.asarray(1 - depth * (0.5 + x * np.cos(angle) + y * np.sin(angle)), np.float32)
