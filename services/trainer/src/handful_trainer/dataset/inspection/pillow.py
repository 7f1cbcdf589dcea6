"""Pillow's look at an image: slow, and it tells when a file breaks off, which OpenCV would hide."""

from __future__ import annotations

import io
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import GifImagePlugin, Image, ImageFile, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin
from PIL.BmpImagePlugin import BmpImageFile

from handful_core.vision.decode import MAX_PIXELS, exif_orientation
from handful_trainer.dataset.inspection.facts import ImageFacts, WriteMode
from handful_trainer.dataset.inspection.formats import image_format, lacks_end
from handful_trainer.dataset.inspection.phash import SIDE, upright

SMALLEST_SIDE = 10
"""Pixels. Ultralytics leaves out images that are smaller."""

# A format's own class, not Image.open: that tries one format after the other, and Ultralytics replaces it by a function
# that installs packages when it meets a file that is no image.
_READERS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "BMP": BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "GIF": GifImagePlugin.GifImageFile,
}
_BOX = Image.Resampling.BOX


class Inspection(NamedTuple):
    """What was found in a file, and what its look is to be taken from."""

    facts: ImageFacts
    """Without the look."""
    grey: NDArray[np.uint8] | None = None
    """The upright image, small; None if there is none, or it was not decoded."""


def open_image(data: bytes) -> ImageFile.ImageFile:
    """Open an image file's content with Pillow, by the format that it begins like.

    Raises:
        SyntaxError: it is not of this format, or of none that is read. Broken content raises one of many others.
    """
    form = image_format(data)
    if form is None:
        raise SyntaxError("not an image")
    return _READERS[form](io.BytesIO(data), "")


def decoded(facts: ImageFacts, data: bytes) -> Inspection:
    """Decode an image to its end.

    Args:
        facts: size, sha256 and format.
        data: the file's content.

    Raises:
        PILLOW_ERRORS: one of these, if it is.
    """
    with open_image(data) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            detail = f"{width} x {height} pixels, {MAX_PIXELS / 1e6:.0f} megapixels are allowed"
            return Inspection(facts._replace(defect="too_large", detail=detail))
        orientation = exif_orientation(image)
        treatment = _treatment(facts.format, data, image, orientation)
        if facts.format == "JPEG":
            image.draft("L", (max(1, width // 8), max(1, height // 8)))
        image.load()
        grey = None if min(width, height) < SMALLEST_SIDE else image.convert("L").resize((SIDE, SIDE), _BOX)
    if facts.format == "PNG" and lacks_end("PNG", data):  # Pillow is content without the last bytes, OpenCV is not.
        return Inspection(facts._replace(defect="truncated", detail="the end of the PNG is missing"))
    if grey is None:
        return Inspection(facts._replace(defect="too_small", detail=f"{width} x {height} pixels"))
    # Pillow turns TIFF images, and no others, while it loads them.
    small = upright(np.asarray(grey), 1 if facts.format == "TIFF" else orientation)
    if orientation >= 5:
        width, height = height, width
    return Inspection(facts._replace(width=width, height=height, orientation=orientation, treatment=treatment), small)


def _treatment(form: str, data: bytes, image: ImageFile.ImageFile, orientation: int) -> WriteMode:
    if form in {"GIF", "TIFF"} or getattr(image, "n_frames", 1) > 1:
        return WriteMode.PNG
    if orientation != 1:
        return WriteMode.UPRIGHT
    return WriteMode.SEAL if form == "JPEG" and lacks_end(form, data) else WriteMode.LINK
