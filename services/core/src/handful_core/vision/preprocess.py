"""From upright pixels to a model's input, and from the model's coordinates back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil

import cv2
import numpy as np
from numpy.typing import NDArray

from handful_core.package.manifest import Input
from handful_core.vision.decode import Pixels

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ResizeTransform:
    """How an image of `width` by `height` pixels was laid into the model's input: x_input = x * scale_x + left."""

    width: int
    height: int
    scale_x: float
    scale_y: float
    left: float
    top: float

    def to_image(self, boxes: Floats) -> Floats:
        """Boxes (n, 4) as x1, y1, x2, y2 in input pixels, to pixels of the image, cut to its edges."""
        offset = np.array([self.left, self.top] * 2, np.float32)
        scale = np.array([self.scale_x, self.scale_y] * 2, np.float32)
        edges = np.array([self.width, self.height] * 2, np.float32)
        return np.asarray(np.clip((boxes - offset) / scale, 0, edges), np.float32)


def to_input(pixels: Pixels, spec: Input) -> tuple[Floats, ResizeTransform]:
    """Prepare an image for the graph.

    Args:
        pixels: (height, width, 3) uint8, BGR.
        spec: the manifest's description of the input.

    Returns:
        (1, 3, spec.height, spec.width) float32, and the transform whose inverse leads back.
    """
    fitted, transform = _RESIZE[spec.resize](pixels, spec)
    # What was cropped begins outside of the input (left and top are below 0), and fills it.
    return _laid_in(fitted, max(0, int(transform.left)), max(0, int(transform.top)), spec), transform


def least_size(spec: Input) -> tuple[int, int]:
    """Width and height below which the model's input would show an enlarged image, beside the longer side's."""
    # A letterbox is filled by the longer side. Other ways fill the input in both directions.
    return (1, 1) if spec.resize == "letterbox" else (spec.width, spec.height)


def _laid_in(pixels: Pixels, left: int, top: int, spec: Input) -> Floats:
    """Planes of normalised floats, padded around.

    A pixel has one of 256 values. Each is computed once and looked up, which gives the same floats as cv2.blobFromImage
    or numpy in two thirds of the time. The lookup writes straight into the padded tensor, without another copy.
    """
    height, width = pixels.shape[:2]
    planes = cv2.split(pixels)
    tensor = np.empty((1, 3, spec.height, spec.width), np.float32)
    for place, plane, table in zip(
        tensor[0],
        reversed(planes) if spec.colour == "rgb" else planes,
        _tables(spec.scale, spec.mean, spec.std),
        strict=True,
    ):
        place[:top] = place[top + height :] = table[spec.pad]
        place[:, :left] = place[:, left + width :] = table[spec.pad]
        cv2.LUT(plane, table, dst=place[top : top + height, left : left + width])
    return tensor


@cache
def _tables(scale: float, mean: Sequence[float], std: Sequence[float]) -> list[Floats]:
    """What each value of a pixel becomes, by channel of the input."""
    values = np.arange(256, dtype=np.float32) * np.float32(scale)
    return [(values - np.float32(m)) / np.float32(s) for m, s in zip(mean, std, strict=True)]


def _letterbox(pixels: Pixels, spec: Input) -> tuple[Pixels, ResizeTransform]:
    """Keep the aspect, centre, pad. Rounds as Ultralytics' LetterBox does, so that boxes agree to the pixel."""
    height, width = pixels.shape[:2]
    ratio = min(spec.width / width, spec.height / height)
    new_width, new_height = max(1, round(width * ratio)), max(1, round(height * ratio))
    left, top = round((spec.width - new_width) / 2 - 0.1), round((spec.height - new_height) / 2 - 0.1)
    if (new_width, new_height) != (width, height):
        pixels = _resized(pixels, new_width, new_height)
    return pixels, ResizeTransform(width, height, ratio, ratio, left, top)


def _stretch(pixels: Pixels, spec: Input) -> tuple[Pixels, ResizeTransform]:
    height, width = pixels.shape[:2]
    transform = ResizeTransform(width, height, spec.width / width, spec.height / height, 0, 0)
    return _resized(pixels, spec.width, spec.height), transform


def _crop(pixels: Pixels, spec: Input) -> tuple[Pixels, ResizeTransform]:
    height, width = pixels.shape[:2]
    ratio = max(spec.width / width, spec.height / height)
    pixels, skipped_x, skipped_y = _middle(pixels, ceil(spec.width / ratio), ceil(spec.height / ratio))
    new_width = max(spec.width, round(pixels.shape[1] * ratio))
    new_height = max(spec.height, round(pixels.shape[0] * ratio))
    left, top = (new_width - spec.width) // 2, (new_height - spec.height) // 2
    resized = _resized(pixels, new_width, new_height)
    cut = np.ascontiguousarray(resized[top : top + spec.height, left : left + spec.width])
    return cut, ResizeTransform(width, height, ratio, ratio, -left - skipped_x * ratio, -top - skipped_y * ratio)


def _middle(pixels: Pixels, width: int, height: int) -> tuple[Pixels, int, int]:
    """The middle of an extremely long image, at most four times what the cut will keep of it, and where it begins.

    Resizing all of a strip of 50,000,000 by 1 pixels would take terabytes.
    """
    skipped_x = max(0, pixels.shape[1] - 4 * width) // 2
    skipped_y = max(0, pixels.shape[0] - 4 * height) // 2
    return (
        pixels[skipped_y : pixels.shape[0] - skipped_y, skipped_x : pixels.shape[1] - skipped_x],
        skipped_x,
        skipped_y,
    )


def _resized(pixels: Pixels, width: int, height: int) -> Pixels:
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


_RESIZE = {"letterbox": _letterbox, "stretch": _stretch, "crop": _crop}
