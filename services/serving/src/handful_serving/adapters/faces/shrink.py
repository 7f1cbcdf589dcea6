"""Images, made small enough for a detector."""

from __future__ import annotations

import cv2
import numpy as np

from handful_core.vision.decode import Pixels


def shrink(pixels: Pixels, size: int) -> tuple[Pixels, tuple[float, float]]:
    """The image with a longer side of at most `size` pixels, and its scale: x and y, 1 or less."""
    height, width = pixels.shape[:2]
    ratio = size / max(height, width)
    if ratio >= 1:
        return pixels, (1.0, 1.0)
    new_width, new_height = max(1, round(width * ratio)), max(1, round(height * ratio))
    small = cv2.resize(pixels, (new_width, new_height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8), (new_width / width, new_height / height)
