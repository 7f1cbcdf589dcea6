"""Haar cascades, which OpenCV 4 ships: known to many, and by far the one that errs most. See docs/serving.md."""

from __future__ import annotations

import threading
from pathlib import Path

import cv2
import cv2.data
import numpy as np

from handful_core.vision.decode import Pixels
from handful_core.vision.preprocess import Floats
from handful_faces.blur import shrink

_CASCADE = Path(cv2.data.haarcascades) / "haarcascade_frontalface_default.xml"
_STEP = 1.1
_SMALLEST = (24, 24)
_NEIGHBOURS = 8
"""Detections that confirm each other. Fewer find more faces, and more hands that are none."""


class Haar:
    """Upright frontal faces by a cascade of light and dark rectangles.

    Args:
        size: the longer side, in pixels, that images are shrunk to.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._own = threading.local()  # A cascade keeps its state while it works: each thread has one.
        self._cascade()

    def find(self, pixels: Pixels) -> Floats:
        """Faces as (n, 4) float32: x1, y1, x2, y2 in pixels of the image."""
        small, scale = shrink(pixels, self._size)
        grey = cv2.equalizeHist(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY))
        found = self._cascade().detectMultiScale(grey, _STEP, _NEIGHBOURS, minSize=_SMALLEST)
        boxes = np.asarray(found, np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        return np.asarray(boxes / np.array([*scale, *scale], np.float32), np.float32)

    def _cascade(self) -> cv2.CascadeClassifier:
        if not hasattr(self._own, "cascade"):
            self._own.cascade = cv2.CascadeClassifier(str(_CASCADE))
        cascade: cv2.CascadeClassifier = self._own.cascade
        return cascade
