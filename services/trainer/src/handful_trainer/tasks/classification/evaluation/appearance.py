"""What an image looks like, whatever it shows: size, brightness, sharpness, and the colours along its border."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from handful_core.console import progress
from handful_core.vision.decode import ImageError, Pixels, decode_reduced

_SIDE = 256
"""Pixels of the longer side at which brightness and sharpness are measured: comparable between cameras."""
_BORDER = 16
"""The border is a strip of one such part of the shorter side, along all four edges."""
_CELLS = 4
"""Parts that each strip is cut into: the mean colour of each is one of the border's."""


class Appearance(NamedTuple):
    """What was measured of one image."""

    size: float
    """Square root of width times height, in pixels."""
    brightness: float
    """Mean of the grey image, 0 to 255."""
    sharpness: float
    """Variance of the Laplacian of the grey image: small where everything is blurred."""
    border: NDArray[np.float32]
    """(4 strips x 4 cells x 3 channels,), BGR, 0 to 255."""


def appearance(data: bytes) -> Appearance:
    """Measure an image file.

    Raises:
        ImageError: it cannot be decoded.
    """
    image = decode_reduced(data, enough=_SIDE)
    shrink = min(1.0, _SIDE / max(image.pixels.shape[:2]))
    small = cv2.resize(image.pixels, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
    sharpness = float(cv2.Laplacian(grey, cv2.CV_64F).var())
    return Appearance((image.width * image.height) ** 0.5, float(grey.mean()), sharpness, border(image.pixels))


def appearances(paths: Iterable[Path], *, all_of_them: bool) -> dict[Path, Appearance]:
    """Measure image files.

    Args:
        paths: the files.
        all_of_them: whether one that cannot be decoded is an error; else it is left out.

    Raises:
        ImageError: one cannot be decoded.
    """
    found, paths = {}, list(paths)
    with progress() as bar:
        for path in bar.track(paths, description="looking at images"):
            try:
                found[path] = appearance(path.read_bytes())
            except (ImageError, OSError):
                if all_of_them:
                    raise
    return found


def border(pixels: Pixels) -> NDArray[np.float32]:
    """The mean colours along the border of an image, (height, width, 3)."""
    depth = max(1, round(min(pixels.shape[:2]) / _BORDER))
    strips = (pixels[:depth], pixels[-depth:], pixels[:, :depth].swapaxes(0, 1), pixels[:, -depth:].swapaxes(0, 1))
    cells = [cv2.resize(np.ascontiguousarray(s), (_CELLS, 1), interpolation=cv2.INTER_AREA) for s in strips]
    return np.asarray(cells, np.float32).reshape(-1)
