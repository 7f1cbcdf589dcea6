"""CenterFace on ONNX Runtime. Its weights are in `weights`, whose README names their source."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from handful_core.runtime.onnx import OrtGraph
from handful_core.vision.decode import Pixels
from handful_core.vision.preprocess import Floats
from handful_faces.blur import shrink

_WEIGHTS = Path(__file__).with_name("weights") / "centerface.onnx"
_STRIDE = 4
"""Input pixels of one place of the heat map."""
_MULTIPLE = 32
"""Both sides of the input are multiples of this."""
_SCORE = 0.5
_OVERLAP = 0.3


class CenterFace:
    """A heat map of face centres, with sizes and offsets at each place.

    Args:
        size: the longer side, in pixels, that images are shrunk to.
        threads: processors that one search may use.
    """

    def __init__(self, size: int, threads: int) -> None:
        self._size = size
        self._graph = OrtGraph(_WEIGHTS, threads)

    def find(self, pixels: Pixels) -> Floats:
        """Faces as (n, 4) float32: x1, y1, x2, y2 in pixels of the image."""
        small, scale = shrink(pixels, self._size)
        heat, sizes, offsets = self._graph.run(["537", "538", "539"], {"input.1": _tensor(small)})
        rows, columns = np.nonzero(heat[0, 0] > _SCORE)
        if len(rows) == 0:
            return np.zeros((0, 4), np.float32)
        # Both maps hold the vertical value first; sizes are logarithms.
        half = np.exp(sizes[0][::-1, rows, columns].T) * _STRIDE / 2
        centre = (np.stack([columns, rows], axis=1) + offsets[0][::-1, rows, columns].T + 0.5) * _STRIDE
        corners = np.concatenate([centre - half, 2 * half], axis=1)
        kept = cv2.dnn.NMSBoxes(corners.tolist(), heat[0, 0, rows, columns].tolist(), _SCORE, _OVERLAP)
        indices = np.asarray(kept, np.int64).reshape(-1)
        boxes = np.concatenate([centre - half, centre + half], axis=1)[indices]
        return np.asarray(boxes / np.array([*scale, *scale]), np.float32)


def _tensor(small: Pixels) -> Floats:
    """(1, 3, height, width) float32, 0 to 255, red first, padded with black to the right and below."""
    below, right = -small.shape[0] % _MULTIPLE, -small.shape[1] % _MULTIPLE
    padded = cv2.copyMakeBorder(small, 0, below, 0, right, cv2.BORDER_CONSTANT)
    return np.asarray(cv2.dnn.blobFromImage(padded, swapRB=True), np.float32)
