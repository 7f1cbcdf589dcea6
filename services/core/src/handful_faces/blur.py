"""Blurring: a face becomes a few averaged cells, from which nothing can be won back."""

from __future__ import annotations

from math import ceil, floor
from typing import Protocol

import cv2
import numpy as np

from handful_core.vision.decode import Pixels
from handful_core.vision.preprocess import Floats
from handful_faces.privacy import BlurError

_MAX_CELLS = 12


class FaceDetector(Protocol):
    """Finds faces. Safe to use from several threads at once."""

    def find(self, pixels: Pixels) -> Floats:
        """Faces as (n, 4) float32: x1, y1, x2, y2 in pixels of the image."""
        ...


class Blur:
    """Blurs the faces that a detector finds.

    Args:
        detector: finds faces.
        size: the longer side, in pixels, that the detector needs.
        strength: 1 to 10: a face becomes 11 by 11 cells at 1, 2 by 2 at 10.
        margin: what is blurred around a face, as a share of its size at each side.
    """

    def __init__(self, detector: FaceDetector, size: int, strength: int, margin: float) -> None:
        self._detector = detector
        self.size = size
        self._cells = _MAX_CELLS - strength
        self._margin = margin

    def __call__(self, pixels: Pixels) -> int:
        """Blur every face of an image in place; how many there were.

        Raises:
            BlurError: it could not be done, for whatever reason.
        """
        try:
            faces = self._detector.find(pixels)
            for face in faces:
                self._hide(pixels, *face.tolist())
        except Exception as error:  # Fail closed: a model never sees an image with unblurred faces.
            raise BlurError(
                f"faces could not be looked for ({type(error).__name__}: {error})",
                "the image was not used; the server's owner may choose another HANDFUL_SERVING_FACE_BLUR",
            ) from error
        return len(faces)

    def warm_up(self) -> None:
        """Blur a grey image: a broken detector fails here, and the first real image is as fast as the others."""
        self(np.full((240, 320, 3), 114, np.uint8))

    def _hide(self, pixels: Pixels, x1: float, y1: float, x2: float, y2: float) -> None:
        height, width = pixels.shape[:2]
        margin_x, margin_y = self._margin * (x2 - x1), self._margin * (y2 - y1)
        left, right = max(0, floor(x1 - margin_x)), min(width, ceil(x2 + margin_x))
        top, bottom = max(0, floor(y1 - margin_y)), min(height, ceil(y2 + margin_y))
        if right <= left or bottom <= top:
            return
        face = pixels[top:bottom, left:right]
        cells = cv2.resize(face, (self._cells, self._cells), interpolation=cv2.INTER_AREA)
        face[:] = cv2.resize(cells, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)


def shrink(pixels: Pixels, size: int) -> tuple[Pixels, tuple[float, float]]:
    """The image with a longer side of at most `size` pixels, and its scale: x and y, 1 or less."""
    height, width = pixels.shape[:2]
    ratio = size / max(height, width)
    if ratio >= 1:
        return pixels, (1.0, 1.0)
    new_width, new_height = max(1, round(width * ratio)), max(1, round(height * ratio))
    small = cv2.resize(pixels, (new_width, new_height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8), (new_width / width, new_height / height)
