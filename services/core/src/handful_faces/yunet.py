"""YuNet, through OpenCV's own reader of it. Its weights are not part of Handful: the owner names the file."""

from __future__ import annotations

import threading
from pathlib import Path

import cv2
import numpy as np

from handful_core.errors import ConfigError
from handful_core.vision.decode import Pixels
from handful_core.vision.preprocess import Floats
from handful_faces.blur import shrink

_SCORE = 0.9
_OVERLAP = 0.3


class YuNet:
    """OpenCV Zoo's face_detection_yunet_2023mar.onnx.

    Args:
        size: the longer side, in pixels, that images are shrunk to.
        model: the file.

    Raises:
        ConfigError: no file is named, or it is none that OpenCV reads.
    """

    def __init__(self, size: int, model: Path | None) -> None:
        if model is None or not model.is_file():
            raise ConfigError(
                f"YuNet's weights are not part of Handful, and {model or 'no file'} is there",
                "download face_detection_yunet_2023mar.onnx from the OpenCV Zoo and set HANDFUL_SERVING_YUNET_MODEL, "
                "or take HANDFUL_SERVING_FACE_BLUR=centerface",
            )
        self._size = size
        self._model = model
        self._own = threading.local()  # A detector keeps its input's size: each thread has one.
        try:
            self._detector()
        except cv2.error as error:
            raise ConfigError(
                f"OpenCV cannot read {model} as YuNet ({error.err})", "correct HANDFUL_SERVING_YUNET_MODEL"
            ) from error

    def find(self, pixels: Pixels) -> Floats:
        """Faces as (n, 4) float32: x1, y1, x2, y2 in pixels of the image."""
        small, scale = shrink(pixels, self._size)
        detector = self._detector()
        detector.setInputSize((small.shape[1], small.shape[0]))
        _, found = detector.detect(small)
        if found is None:
            return np.zeros((0, 4), np.float32)
        boxes = np.array(found[:, :4], np.float32)
        boxes[:, 2:] += boxes[:, :2]
        return np.asarray(boxes / np.array([*scale, *scale], np.float32), np.float32)

    def _detector(self) -> cv2.FaceDetectorYN:
        if not hasattr(self._own, "detector"):
            self._own.detector = cv2.FaceDetectorYN.create(str(self._model), "", (320, 320), _SCORE, _OVERLAP)
        detector: cv2.FaceDetectorYN = self._own.detector
        return detector
