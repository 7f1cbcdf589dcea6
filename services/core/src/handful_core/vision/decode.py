"""From the bytes of an image file to upright pixels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from handful_core.errors import DataError
from handful_core.vision import formats
from handful_core.vision.avif_header import avif_header
from handful_core.vision.formats import ImageFormat
from handful_core.vision.image_headers import has_more_scans, is_endless, jpeg_header, tiff_layout
from handful_core.vision.pillow_images import (
    HDR,
    PILLOW_ERRORS,
    ColourError,
    check_colours,
    decode_with_pillow,
    open_image,
    orientation_of,
    stored_size,
)

Pixels = NDArray[np.uint8]
"""(height, width, 3), blue green red, as OpenCV has it."""

MAX_PIXELS = 50_000_000
"""A 50-megapixel photo. More than that is refused before anything is decoded."""

_MAX_SCANS, _SCANNED_PIXELS = 64, 16 * MAX_PIXELS
"""Scans of a JPEG, and pixels of all of them. Programs write a dozen scans at most, and each costs a pass over all
pixels."""
_MAX_HEADER = 1 << 20
"""Bytes in which a PNG or GIF has to tell its size. Pillow goes through its chunks one by one in Python, so a file of
millions of empty chunks would keep it busy."""
_TRANSPOSED = {5, 6, 7, 8}
"""EXIF orientations that swap width and height."""
_REDUCED = ((8, cv2.IMREAD_REDUCED_COLOR_8), (4, cv2.IMREAD_REDUCED_COLOR_4), (2, cv2.IMREAD_REDUCED_COLOR_2))
"""Part of the size, and OpenCV's flag for it. libjpeg then computes the inverse DCT of each block at that size: most
frequencies, the colour conversion of the full image and a later resize of it are skipped."""
_CHUNKED = (formats.PNG, formats.GIF)

# OpenCV would print to stderr what is raised here anyhow.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


class ImageError(DataError):
    """The bytes are not an image that can be used."""


class UnsupportedImageError(ImageError):
    """The bytes are of no format that is read, or of no kind of it."""

    def __init__(self, message: str, hint: str = "", kind: str = "") -> None:
        super().__init__(message, hint)
        self.kind = kind
        """What they are; empty if they are no image at all."""


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
    by_opencv: bool = True
    """OpenCV decodes it, else Pillow."""


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
    form = _format_of(data)
    _check_before_pillow(form, data, max_pixels)
    try:
        with open_image(data[:_MAX_HEADER] if form in _CHUNKED else data) as image:
            if form.reader != "opencv":
                check_colours(image)
            (width, height), orientation = stored_size(image), orientation_of(image)
    except ColourError as error:
        raise _unsupported(f"{form.name} with {error}") from error
    except PILLOW_ERRORS as error:
        if form is formats.TIFF and "pixel mode" in str(error):
            raise _unsupported("TIFF with samples of a rare kind") from error
        raise ImageError(f"the image's header cannot be read ({error})", "send a whole image file") from error
    if orientation in _TRANSPOSED:
        width, height = height, width
    return Header(form.name, width, height, orientation, form.reader == "opencv")


def _format_of(data: bytes) -> ImageFormat:
    form, hint = formats.identify(data), f"send one of {formats.readable()}"
    if form is None:
        raise UnsupportedImageError("the file is empty" if not data else "the file is not an image", hint)
    if not form.is_read:
        hint = f"{form.install}, or {hint}" if form.install else hint
        raise UnsupportedImageError(f"the file is {form.name}, not an image that is read here", hint, form.name)
    return form


def _unsupported(kind: str) -> UnsupportedImageError:
    return UnsupportedImageError(f"{kind} is not read", "save it as 8-bit RGB, in PNG or JPEG", kind)


def _check_before_pillow(form: ImageFormat, data: bytes, max_pixels: int) -> None:
    """Refuse what would keep Pillow busy, or make it or OpenCV take more memory than an image of this size needs."""
    if form is formats.JPEG and is_endless(data):
        raise ImageError("the image's header has no end", "send a whole image file")
    try:
        if form is formats.TIFF:
            _check_tiff(data, max_pixels)
        elif form is formats.AVIF:
            _check_avif(data, max_pixels)
    except ValueError as error:
        raise ImageError(f"the image's header cannot be read ({error})", "send a whole image file") from error


def _check_tiff(data: bytes, max_pixels: int) -> None:
    layout = tiff_layout(data)
    if layout.tile > max_pixels:
        raise _too_large(layout.tile, max_pixels)
    if layout.is_preview:
        raise _unsupported("a camera's raw file")


def _check_avif(data: bytes, max_pixels: int) -> None:
    header = avif_header(data)
    if header.frame > max_pixels:
        raise _too_large(header.frame, max_pixels)
    if header.transfer in HDR:
        raise _unsupported(f"AVIF with colours for HDR ({HDR[header.transfer]})")


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


def decode_reduced(
    data: bytes, max_pixels: int = MAX_PIXELS, enough: int | None = None, least: tuple[int, int] = (1, 1)
) -> DecodedImage:
    """Decode an image file like `decode_image`, but no larger than somebody needs it.

    A JPEG can be decoded at a half, a quarter or an eighth of its size, which skips most of the work.

    Args:
        data: an image file.
        max_pixels: more are refused before anything is decoded.
        enough: the longer side keeps at least so many pixels, if the image has them; all of them if None.
        least: width and height that it keeps, too.

    Raises:
        ImageError: one of its kinds, with what is wrong.
    """
    header = read_header(data, max_pixels)
    mode = _mode(header, enough, least)
    pixels = _decoded(data, header, mode)
    if mode == cv2.IMREAD_COLOR:  # What was decoded counts, whatever the header says.
        return DecodedImage(pixels, pixels.shape[1], pixels.shape[0])
    height, width = pixels.shape[:2]
    # OpenCV turns by what it finds in EXIF itself. Should it have turned another way, the longer side tells.
    if (width - height) * (header.width - header.height) < 0:
        return DecodedImage(pixels, header.height, header.width)
    return DecodedImage(pixels, header.width, header.height)


def _mode(header: Header, enough: int | None, least: tuple[int, int]) -> int:
    if enough is None or header.format != "JPEG":
        return cv2.IMREAD_COLOR
    width, height = header.width, header.height
    for part, mode in _REDUCED:
        if max(width, height) // part >= enough and width // part >= least[0] and height // part >= least[1]:
            return mode
    return cv2.IMREAD_COLOR


def _decoded(data: bytes, header: Header, mode: int) -> Pixels:
    if not header.by_opencv:
        return _pillow_pixels(data, header)
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
    except cv2.error as error:
        raise ImageError(f"the image cannot be decoded ({error.err})", "send a whole image file") from error
    if pixels is None or pixels.size == 0:
        raise ImageError(f"the {header.format} image cannot be decoded", "it is damaged; send a whole image file")
    return np.asarray(pixels, np.uint8)


def _pillow_pixels(data: bytes, header: Header) -> Pixels:
    try:
        return decode_with_pillow(data)
    except PILLOW_ERRORS as error:
        raise ImageError(f"the {header.format} image cannot be decoded ({error})", "send a whole image file") from error
