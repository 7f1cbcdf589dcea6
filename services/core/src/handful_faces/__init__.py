"""Finding faces, three ways, and blurring them."""

from __future__ import annotations

import base64
import re
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from handful_faces.blur import Blur, FaceDetector
from handful_faces.privacy import Detector, FaceBlur, NoBlur

SIZE, STRENGTH, MARGIN = 320, 6, 0.1
"""What serving blurs with unless its settings say otherwise."""
_SHEET_SIZE = 1920
"""Of a sheet that holds many pictures: its faces are small."""
_PICTURE_IN_PAGE = re.compile(r"(?<=data:image/jpeg;base64,)[A-Za-z0-9+/=]+")


def face_blur(
    detector: Detector, *, size: int, strength: int, margin: float, threads: int, yunet_model: Path | None = None
) -> FaceBlur:
    """What blurs faces, by the settings. It is tried on a grey image, so that a broken one is known at the start.

    Args:
        detector: what finds them.
        size: the longer side, in pixels, of the image in which they are looked for.
        strength: see `Blur`.
        margin: see `Blur`.
        threads: processors that one search may use.
        yunet_model: the ONNX file of YuNet, which is not part of Handful.

    Raises:
        ConfigError: YuNet without its file.
        BlurError: the detector does not work.
    """
    if detector == "off":
        return NoBlur()
    blur = Blur(_detector(detector, size, threads, yunet_model), size, strength, margin)
    blur.warm_up()
    return blur


@cache
def publishing_blur(size: int = SIZE) -> FaceBlur:
    """What blurs faces in pictures that a training publishes, in MLflow or in a report: as serving does by default."""
    return face_blur("centerface", size=size, strength=STRENGTH, margin=MARGIN, threads=1)


def blur_sheet(path: Path) -> None:
    """Blur the faces in a JPEG file that shows many pictures at once.

    Raises:
        BlurError: it could not be done; the file is as it was.
    """
    read = cv2.imread(str(path))
    if read is None:
        return
    pixels = np.asarray(read, np.uint8)
    if publishing_blur(_SHEET_SIZE)(pixels):
        cv2.imwrite(str(path), pixels)


def blurred_page(page: str) -> str:
    """An HTML page with the faces blurred in the JPEG pictures that it holds.

    Raises:
        BlurError: it could not be done.
    """
    return _PICTURE_IN_PAGE.sub(lambda found: _blurred_picture(found[0]), page)


def _blurred_picture(text: str) -> str:
    """A JPEG picture in base64, as it was if it has no face."""
    read = cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_COLOR)
    if read is None:
        return text
    pixels = np.asarray(read, np.uint8)
    if not publishing_blur()(pixels):
        return text
    return base64.b64encode(cv2.imencode(".jpg", pixels)[1].tobytes()).decode()


def _detector(detector: Detector, size: int, threads: int, yunet_model: Path | None) -> FaceDetector:
    # Imported only where they are used: a detector that is not chosen costs no memory.
    if detector == "haar":
        from handful_faces.haar import Haar

        return Haar(size)
    if detector == "yunet":
        from handful_faces.yunet import YuNet

        return YuNet(size, yunet_model)
    from handful_faces.centerface import CenterFace

    return CenterFace(size, threads)
