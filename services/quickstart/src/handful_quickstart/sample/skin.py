"""Colour and light on a relief."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from handful_quickstart.sample.relief import Plane, Relief

Colours = NDArray[np.float32]
"""(height, width, 3) or (3,): blue, green, red, 0 to 1."""

_TONES = np.array(
    [
        [0.78, 0.86, 0.97], [0.70, 0.80, 0.94], [0.62, 0.73, 0.90], [0.55, 0.68, 0.87], [0.46, 0.60, 0.80],
        [0.38, 0.52, 0.73], [0.30, 0.43, 0.63], [0.23, 0.34, 0.52], [0.17, 0.26, 0.42], [0.13, 0.19, 0.32],
    ]
)  # fmt: skip
"""Skin from light to dark."""


def bgr(blue: float, green: float, red: float) -> Colours:
    """A colour."""
    return np.array([blue, green, red], np.float32)


@dataclass(frozen=True, slots=True)
class Light:
    """The light of a scene, the same for all hands in it."""

    direction: NDArray[np.float32]
    """(3,): unit vector towards the light; x right, y down, z to the viewer."""
    colour: Colours
    ambient: float
    """Share of light that comes from everywhere."""

    @classmethod
    def random(cls, rng: np.random.Generator) -> Self:
        """Light mostly from above, warm or cold."""
        angle, tilt = rng.uniform(-np.pi, 0), rng.uniform(0.35, 1.1)
        direction = np.array([np.cos(angle) * np.sin(tilt), np.sin(angle) * np.sin(tilt), np.cos(tilt)], np.float32)
        warmth = rng.normal(0, 0.06)
        return cls(direction, bgr(1 - warmth, 1, 1 + warmth), float(rng.uniform(0.35, 0.6)))


def paint_hand(relief: Relief, light: Light, scale: float, *, back: bool, rng: np.random.Generator) -> Colours:
    """Paint a hand and its arm.

    Args:
        relief: the shape.
        light: the scene's light.
        scale: pixels of a palm's width.
        back: it shows its back, not its palm.
        rng: where tone, blotches and sleeve come from.
    """
    tone = _tone(rng, back=back)
    colours = np.broadcast_to(tone, (*relief.height.shape, 3)).astype(np.float32)
    blotches = _cloud(relief.height.shape, scale * 0.25, rng)[..., None]
    colours *= 1 + blotches * bgr(0.01, 0.03, 0.05)
    nail = bgr(0.80, 0.82, 0.95) * 0.5 + tone * 0.55
    colours += relief.nails[..., None] * (nail - colours) * 0.75
    colours *= 1 - relief.folds[..., None] * bgr(0.34, 0.3, 0.22) * (0.5 if back else 1)
    if rng.random() < 0.6:
        _sleeve(colours, relief, scale, rng)
    return np.asarray(np.clip(colours * _shading(relief, light, scale), 0, 1), np.float32)


def _tone(rng: np.random.Generator, *, back: bool) -> Colours:
    position = rng.uniform(0, len(_TONES) - 1)
    low = int(position)
    tone = _TONES[low] + (_TONES[min(low + 1, len(_TONES) - 1)] - _TONES[low]) * np.float32(position - low)
    if not back:  # Palms are lighter and redder than backs, most so on dark hands.
        tone = tone + (bgr(0.55, 0.64, 0.86) - tone) * np.float32(0.08 + 0.03 * position)
    return np.asarray(np.clip(tone * rng.uniform(0.94, 1.06, 3), 0, 1), np.float32)


def _shading(relief: Relief, light: Light, scale: float) -> Colours:
    """Light on each pixel: what falls onto the slope, less what neighbours hide."""
    slope_x = cv2.Sobel(relief.height, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
    slope_y = cv2.Sobel(relief.height, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)
    steepness = np.sqrt(slope_x**2 + slope_y**2 + 1)
    falling = (light.direction[2] - slope_x * light.direction[0] - slope_y * light.direction[1]) / steepness
    hidden = cv2.GaussianBlur(relief.height, (0, 0), scale * 0.09) - relief.height
    open_sky = 1 - np.clip(hidden / (scale * 0.16), 0, 0.6)
    lit = np.clip(falling, 0, 1)[..., None] * (1 - light.ambient) * 1.25 * light.colour
    # Light that went through skin comes out red: shadows on hands are never grey.
    soft = bgr(0.88, 0.94, 1.08) * light.ambient
    return np.asarray((lit + soft * open_sky[..., None]) * (0.55 + 0.45 * open_sky[..., None]), np.float32)


def _sleeve(colours: Colours, relief: Relief, scale: float, rng: np.random.Generator) -> None:
    """Cover the arm with cloth from somewhere behind the wrist."""
    begin = rng.uniform(0.12, 0.5)
    cover = np.clip((relief.along_arm - begin) * scale * 0.5, 0, 1) * relief.arm
    cloth = rng.uniform(0.08, 0.9, 3).astype(np.float32)
    weave = _cloud(relief.height.shape, scale * 0.05, rng)[..., None] * 0.03
    colours += cover[..., None] * (cloth + weave - colours)


def _cloud(shape: tuple[int, ...], grain: float, rng: np.random.Generator) -> Plane:
    """Smooth noise around 0 with a deviation near 1, in patches of about `grain` pixels."""
    small = max(2, round(shape[0] / max(grain, 1))), max(2, round(shape[1] / max(grain, 1)))
    noise = rng.standard_normal(small, np.float32)
    return np.asarray(cv2.resize(noise, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC), np.float32)
