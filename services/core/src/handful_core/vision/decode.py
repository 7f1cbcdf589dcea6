"""From the bytes of an image file to upright pixels."""

from __future__ import annotations

import io
import struct
import threading
import warnings
import zlib
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from handful_core.errors import DataError
from handful_core.vision.image_headers import has_more_scans, is_endless, jpeg_header, largest_tile

Pixels = NDArray[np.uint8]
"""(height, width, 3), blue green red, as OpenCV has it."""

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
MAX_PIXELS = 50_000_000
"""A 50-megapixel photo. More than that is refused before anything is decoded."""

PILLOW_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, AttributeError, EOFError, ArithmeticError, MemoryError,
    RuntimeError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow's decoders raise on files that are broken in one way or another."""

_MAX_SCANS, _SCANNED_PIXELS = 64, 16 * MAX_PIXELS
"""Scans of a JPEG, and pixels of all of them. Programs write a dozen scans at most, and each costs a pass over all
pixels."""
_MAX_HEADER = 1 << 20
"""Bytes in which a PNG or GIF has to tell its size. Pillow goes through its chunks one by one in Python, so a file of
millions of empty chunks would keep it busy."""
_TRANSPOSED = {5, 6, 7, 8}
"""EXIF orientations that swap width and height."""
_JPEG, _CHUNKED, _TIFFS = b"\xff\xd8", (b"\x89PNG", b"GIF8"), (b"II", b"MM")
_WIDTH, _HEIGHT, _ORIENTATION = 0x0100, 0x0101, 0x0112
_REDUCED = ((8, cv2.IMREAD_REDUCED_COLOR_8), (4, cv2.IMREAD_REDUCED_COLOR_4), (2, cv2.IMREAD_REDUCED_COLOR_2))
"""Part of the size, and OpenCV's flag for it. libjpeg then computes the inverse DCT of each block at that size: most
frequencies, the colour conversion of the full image and a later resize of it are skipped."""
_FILTERS = threading.Lock()

# OpenCV would print to stderr what is raised here anyhow.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


class ImageError(DataError):
    """The bytes are not an image that can be used."""


class UnsupportedImageError(ImageError):
    """The bytes are of no format that is read."""


class ImageTooLargeError(ImageError):
    """The image has more pixels than the limit."""


@dataclass(frozen=True, slots=True)
class Header:
    """What an image file says of itself before it is decoded."""

    format: str
    width: int
    """Pixels of the upright image."""
    height: int
    """Pixels of the upright image."""
    orientation: int
    """EXIF orientation, 1 to 8; 1 is upright."""


def read_header(data: bytes, max_pixels: int = MAX_PIXELS) -> Header:
    """Look at an image file without decoding it.

    Raises:
        UnsupportedImageError: not an image, or of a format that is not read.
        ImageTooLargeError: more than `max_pixels`.
    """
    header = _of_plain_jpeg(data) or _by_pillow(data, max_pixels)
    pixels = header.width * header.height
    if pixels > max_pixels:
        raise _too_large(pixels, max_pixels)
    most = min(_MAX_SCANS, _SCANNED_PIXELS // max(1, pixels))
    if header.format == "JPEG" and has_more_scans(data, most):
        raise ImageError(f"the JPEG goes over its pixels more than {most} times", "save it anew")
    return header


def _of_plain_jpeg(data: bytes) -> Header | None:
    """Of a whole JPEG without EXIF, in a third of the time that Pillow takes; None of all else."""
    jpeg = jpeg_header(data)
    if jpeg is None or jpeg.has_app1 or jpeg.channels not in {1, 3}:
        return None
    return Header("JPEG", jpeg.width, jpeg.height, 1)


def _by_pillow(data: bytes, max_pixels: int) -> Header:
    _check_before_pillow(data, max_pixels)
    try:
        # Python has one list of warning filters for all threads. Without the lock, a thread that enters while another
        # is inside would save the changed list, and restore that one last.
        with _FILTERS, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            head = data[:_MAX_HEADER] if data.startswith(_CHUNKED) else data
            with Image.open(io.BytesIO(head), formats=FORMATS) as image:
                form, (width, height) = str(image.format), _stored_size(image)
                orientation = exif_orientation(image)
    except UnidentifiedImageError as error:
        what = "the file is empty" if not data else "the file is not an image"
        raise UnsupportedImageError(what, f"send one of {', '.join(FORMATS)}") from error
    except Image.DecompressionBombError as error:
        raise ImageTooLargeError(f"the image is too large ({error})", "make it smaller") from error
    except (OSError, SyntaxError, ValueError, TypeError, OverflowError, EOFError) as error:
        raise ImageError(f"the image's header cannot be read ({error})", "send a whole image file") from error
    if orientation in _TRANSPOSED:
        width, height = height, width
    return Header(form, width, height, orientation)


def _check_before_pillow(data: bytes, max_pixels: int) -> None:
    """Refuse what would keep Pillow busy, or make it or OpenCV take more memory than an image of this size needs."""
    if data.startswith(_JPEG) and is_endless(data):
        raise ImageError("the image's header has no end", "send a whole image file")
    if data.startswith(_TIFFS):
        try:
            pixels = largest_tile(data)
        except ValueError as error:
            raise ImageError(f"the image's header cannot be read ({error})", "send a whole image file") from error
        if pixels > max_pixels:
            raise _too_large(pixels, max_pixels)


def _too_large(pixels: int, most: int) -> ImageTooLargeError:
    return ImageTooLargeError(
        f"the image has {pixels / 1e6:.0f} megapixels, {most / 1e6:.0f} are allowed", "make it smaller"
    )


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """A decoded image, perhaps smaller than its file says: see `decode_reduced`."""

    pixels: Pixels
    width: int
    """Pixels of the upright image in its file."""
    height: int
    """Pixels of the upright image in its file."""

    @property
    def scale(self) -> tuple[float, float]:
        """What leads from `pixels` back to the image: x and y."""
        return self.width / self.pixels.shape[1], self.height / self.pixels.shape[0]


def decode_image(data: bytes, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Decode an image file to upright 8-bit colour (EXIF orientation applied, alpha dropped, first frame).

    Raises:
        ImageError: one of its kinds, with what is wrong.
    """
    return decode_reduced(data, max_pixels).pixels


def decode_reduced(data: bytes, max_pixels: int = MAX_PIXELS, enough: int | None = None) -> DecodedImage:
    """Decode an image file like `decode_image`, but no larger than somebody needs it.

    A JPEG can be decoded at a half, a quarter or an eighth of its size, which skips most of the work.

    Args:
        data: an image file.
        max_pixels: more are refused before anything is decoded.
        enough: the longer side keeps at least so many pixels, if the image has them; all of them if None.

    Raises:
        ImageError: one of its kinds, with what is wrong.
    """
    header = read_header(data, max_pixels)
    mode = _mode(header, enough)
    pixels = _decoded(data, header, mode)
    if mode == cv2.IMREAD_COLOR:  # What was decoded counts, whatever the header says.
        return DecodedImage(pixels, pixels.shape[1], pixels.shape[0])
    height, width = pixels.shape[:2]
    # OpenCV goes by EXIF alone. Where Pillow found an orientation in XMP, the header's sides are swapped and the
    # pixels' are not: the longer side tells.
    if (width - height) * (header.width - header.height) < 0:
        return DecodedImage(pixels, header.height, header.width)
    return DecodedImage(pixels, header.width, header.height)


def _mode(header: Header, enough: int | None) -> int:
    if enough is None or header.format != "JPEG":
        return cv2.IMREAD_COLOR
    longer = max(header.width, header.height)
    return next((mode for part, mode in _REDUCED if longer // part >= enough), cv2.IMREAD_COLOR)


def _decoded(data: bytes, header: Header, mode: int) -> Pixels:
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
    except cv2.error as error:
        raise ImageError(f"the image cannot be decoded ({error.err})", "send a whole image file") from error
    if pixels is None or pixels.size == 0:
        raise ImageError(f"the {header.format} image cannot be decoded", "it is damaged; send a whole image file")
    return np.asarray(pixels, np.uint8)


def _stored_size(image: Image.Image) -> tuple[int, int]:
    """Width and height as they are stored. Pillow turns the size of a TIFF image upright by itself, and of no other."""
    if isinstance(image, TiffImageFile):
        return int(image.tag_v2[_WIDTH]), int(image.tag_v2[_HEIGHT])
    return image.size


def exif_orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 if there is none.

    Args:
        image: opened by Pillow. Its pixels are not decoded.
    """
    # Without a block of EXIF, Pillow would look for XMP, which OpenCV does not honour, and in a PNG it would decode
    # all the pixels to look behind them. The tags of a TIFF are EXIF themselves.
    if "exif" not in image.info and image.format != "TIFF":
        return 1
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except PILLOW_ERRORS:
        return 1  # A damaged EXIF block is common and harmless: OpenCV ignores it too.
    return value if isinstance(value, int) and 1 <= value <= 8 else 1
