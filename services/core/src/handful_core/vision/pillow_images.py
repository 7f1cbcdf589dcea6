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
HDR = {16: "PQ", 18: "HLG"}
"""Transfer characteristics of ITU-T H.273 whose values are no colours until they are mapped to a screen's."""
_WIDTH, _HEIGHT, _BITS, _ORIENTATION, _SAMPLES = 0x0100, 0x0101, 0x0102, 0x0112, 0x0153
_UNSIGNED = frozenset({1, 4})
"""Kinds of a TIFF's samples: whole numbers from 0 on, and undefined. The others are signed, floating or complex."""
_TURNS = {
    1: (False, None),
    2: (False, 1),
    3: (False, -1),
    4: (False, 0),
    5: (True, None),
    6: (True, 1),
    7: (True, -1),
    8: (True, 0),
}
"""What holds a picture upright, by its orientation: transpose it or not, then OpenCV's code for a flip."""
_STRIP_PIXELS = 1 << 20
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
            image.info.pop("xmp", None)  # Pillow would turn it by this alone.
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
    if isinstance(image, TiffImagePlugin.TiffImageFile) and not _UNSIGNED.issuperset(image.tag_v2.get(_SAMPLES, (1,))):
        raise ColourError("signed samples, or of a rare kind")
    transfer = (image.info.get("nclx_profile") or {}).get("transfer_characteristics")
    if transfer in HDR:
        raise ColourError(f"colours for HDR ({HDR[transfer]})")


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
        orientation = 1 if image.format == "TIFF" else orientation_of(image)  # Pillow turns TIFFs by itself.
        image.load()
        image.fp = None  # AVIF: all the pixels once more.
        pixels = _bgr(image)
    return _upright(pixels, orientation)


def pixels_of(image: Image.Image) -> NDArray[np.uint8]:
    """The pixels of an image that is open in Pillow: upright 8-bit colour.

    Returns:
        (height, width, 3), blue green red.

    Raises:
        ColourError: see `check_colours`.
        Exception: one of `PILLOW_ERRORS`, if its file is damaged or closed.
    """
    check_colours(image)
    orientation = 1 if isinstance(image, TiffImagePlugin.TiffImageFile) else orientation_of(image)
    image.load()
    return _upright(_bgr(image), orientation)


def _bgr(image: Image.Image) -> NDArray[np.uint8]:
    """A loaded image's pixels. In strips: converted at once, a large image would be in memory three times."""
    pixels, bits = np.empty((image.height, image.width, 3), np.uint8), _bits(image)
    step = max(1, _STRIP_PIXELS // max(1, image.width))
    for top in range(0, image.height, step):
        strip = image.crop((0, top, image.width, min(image.height, top + step)))
        pixels[top : top + step] = np.asarray(_rgb(strip, bits))[..., ::-1]
    return pixels


def _bits(image: Image.Image) -> int:
    """Bits of a deep grey image's samples: Pillow hands out 12 bits as the lower ones of 16."""
    return int(image.tag_v2.get(_BITS, (16,))[0]) if isinstance(image, TiffImagePlugin.TiffImageFile) else 16


def _rgb(image: Image.Image, bits: int) -> Image.Image:
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> bits - 8).astype(np.uint8))
    if image.mode in _UNPREMULTIPLIED:
        image = image.convert(_UNPREMULTIPLIED[image.mode])
    return image if image.mode == "RGB" else image.convert("RGB")


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Carry out an EXIF orientation: mirror along the diagonal first, then along the axes."""
    transpose, flip = _TURNS[orientation]
    turned = cv2.transpose(pixels) if transpose else pixels
    return np.asarray(turned if flip is None else cv2.flip(turned, flip), np.uint8)


@cache
def _heif_class() -> type[ImageFile.ImageFile]:
    import pillow_heif  # A tenth of a second, and an extra: imported with the first such image.

    return pillow_heif.HeifImageFile
