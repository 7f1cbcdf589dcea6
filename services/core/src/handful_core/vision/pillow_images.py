"""Image files as Pillow opens them: what their headers say, and the pixels of those that OpenCV does not decode."""

from __future__ import annotations

import io
import struct
import threading
import warnings
import zlib
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from handful_core.vision import formats
from handful_core.vision.formats import ImageFormat
from handful_core.vision.image_headers import exif_orientation

PILLOW_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, AttributeError, EOFError, ArithmeticError, MemoryError,
    RuntimeError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow's decoders raise on files that are broken in one way or another."""

_EIGHT_BITS = frozenset({"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB"})
_UNPREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}
_HDR = {16: "PQ", 18: "HLG"}
"""Transfer characteristics of ITU-T H.273 whose values are no colours until they are mapped to a screen's."""
_WIDTH, _HEIGHT, _ORIENTATION = 0x0100, 0x0101, 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What holds a picture upright, by its orientation."""
_FILTERS = threading.Lock()

# A format's own class, not Image.open: that tries one format after the other, and Ultralytics replaces it by a function
# that installs packages when it meets a file that is no image.
_CLASSES: dict[ImageFormat, type[ImageFile.ImageFile]] = {
    formats.JPEG: JpegImagePlugin.JpegImageFile,
    formats.PNG: PngImagePlugin.PngImageFile,
    formats.WEBP: WebPImagePlugin.WebPImageFile,
    formats.BMP: BmpImagePlugin.BmpImageFile,
    formats.GIF: GifImagePlugin.GifImageFile,
    formats.TIFF: TiffImagePlugin.TiffImageFile,
    formats.AVIF: AvifImagePlugin.AvifImageFile,
}


class ColourError(ValueError):
    """The image's pixels mean something that cannot be told in 8-bit RGB. The message says what they are."""


def open_image(data: bytes) -> ImageFile.ImageFile:
    """Open an image file's content with Pillow, by its signature. Nothing is decoded.

    Raises:
        SyntaxError: the content is not of this format, or of none that is read. Damaged content raises one of
            `PILLOW_ERRORS`.
    """
    form = formats.identify(data)
    if form is None or not form.is_read:
        raise SyntaxError("not an image that is read")
    opener = _heif_class() if form is formats.HEIC else _CLASSES[form]
    # Python has one list of warning filters for all threads. Without the lock, a thread that enters while another is
    # inside would save the changed list, and restore that one last.
    with _FILTERS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = opener(io.BytesIO(data), "")
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            image.getexif()  # Its fields, which it will want when it is decoded.
    return image


def stored_size(image: Image.Image) -> tuple[int, int]:
    """Width and height as they are stored. Pillow turns the size of a TIFF image upright by itself, and of no other."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return int(image.tag_v2[_WIDTH]), int(image.tag_v2[_HEIGHT])
    return image.size


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 if there is none. XMP's is not honoured: few readers know it.

    Args:
        image: opened by Pillow. Its pixels are not decoded.
    """
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        value = image.getexif().get(_ORIENTATION, 1)
        return value if isinstance(value, int) and 1 <= value <= 8 else 1
    block = image.info.get("exif", b"")
    return exif_orientation(block) if isinstance(block, bytes) else 1


def check_colours(image: Image.Image) -> None:
    """Refuse an image whose pixels would become other colours than it has.

    Raises:
        ColourError: samples of 32 bits, whose range nobody states, or a transfer function of HDR.
    """
    if image.mode not in _EIGHT_BITS and not image.mode.startswith("I;16"):
        raise ColourError("samples of more than 16 bits, or of a rare kind")
    transfer = (image.info.get("nclx_profile") or {}).get("transfer_characteristics")
    if transfer in _HDR:
        raise ColourError(f"colours for HDR ({_HDR[transfer]})")


def decode_with_pillow(data: bytes) -> NDArray[np.uint8]:
    """Decode an image file to upright 8-bit colour.

    Returns:
        (height, width, 3), blue green red.

    Raises:
        ColourError: see `check_colours`.
        Exception: one of `PILLOW_ERRORS`, if the file is damaged.
    """
    with open_image(data) as image:
        check_colours(image)
        turn = None if image.format == "TIFF" else _TURNS.get(orientation_of(image))
        image.load()
        if image.mode.startswith("I;16"):
            high = (np.asarray(image) >> 8).astype(np.uint8)
            upright = Image.fromarray(high).convert("RGB")
        else:
            upright = image.convert(_UNPREMULTIPLIED.get(image.mode, image.mode)).convert("RGB")
    if turn is not None:
        upright = upright.transpose(turn)
    return np.asarray(cv2.cvtColor(np.asarray(upright), cv2.COLOR_RGB2BGR), np.uint8)


@cache
def _heif_class() -> type[ImageFile.ImageFile]:
    import pillow_heif  # A tenth of a second, and an extra: imported with the first such image.

    return pillow_heif.HeifImageFile
