"""Finding faces, three ways, and blurring them."""

from __future__ import annotations

from pathlib import Path

from handful_serving.adapters.faces.blur import Blur, FaceDetector
from handful_serving.domain.privacy import Detector, FaceBlur, NoBlur


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


def _detector(detector: Detector, size: int, threads: int, yunet_model: Path | None) -> FaceDetector:
    # Imported only where they are used: a detector that is not chosen costs no memory.
    if detector == "haar":
        from handful_serving.adapters.faces.haar import Haar

        return Haar(size)
    if detector == "yunet":
        from handful_serving.adapters.faces.yunet import YuNet

        return YuNet(size, yunet_model)
    from handful_serving.adapters.faces.centerface import CenterFace

    return CenterFace(size, threads)
