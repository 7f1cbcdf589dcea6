"""Image formats by their first bytes, and decoding with Pillow: slow, but unlike OpenCV it reports truncated files."""

from __future__ import annotations

import io
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import GifImagePlugin, Image, ImageFile, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin
from PIL.BmpImagePlugin import BmpImageFile

from handful_core.vision.decode import MAX_PIXELS, exif_orientation
from handful_trainer.dataset.inspection.inspect import ImageFacts, WriteMode
from handful_trainer.dataset.inspection.phash import MIN_SIDE, apply_orientation

SMALLEST_SIDE = 10
"""Pixels. Ultralytics skips smaller images."""
SIGNATURES = {
    "JPEG": (b"\xff\xd8",),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "BMP": (b"BM",),
    "GIF": (b"GIF87a", b"GIF89a"),
    "TIFF": (b"II*\x00", b"MM\x00*"),
}
"""Supported formats → the bytes that their files begin with. WebP's signature is in two places: see `image_format`."""
_UNSUPPORTED = (
    ("HEIC", 4, b"ftyphe"),
    ("HEIC", 4, b"ftypmif1"),
    ("AVIF", 4, b"ftypavi"),
    ("JPEG 2000", 0, b"\x00\x00\x00\x0cjP"),
    ("JPEG XL", 0, b"\x00\x00\x00\x0cJXL"),
    ("Photoshop", 0, b"8BPS"),
    ("PDF", 0, b"%PDF"),
    ("ZIP", 0, b"PK\x03\x04"),
)
"""Known formats that are not supported: name, offset and bytes of the signature."""
_MARKUP = (b"<!doctype", b"<html", b"<head", b"<body", b"<?xml", b"<error")

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
    """What was found in a file, and the pixels that its perceptual hash is made from."""

    facts: ImageFacts
    """Without the perceptual hash."""
    grey: NDArray[np.uint8] | None = None
    """(height, width): the upright image, reduced; None if it is unusable or was not decoded."""


def image_format(data: bytes) -> str | None:
    """Pillow's name of the format, from the first bytes; None if it is not supported."""
    for name, signatures in SIGNATURES.items():
        if data.startswith(signatures):
            return name
    return "WEBP" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def unsupported_format(data: bytes) -> str | None:
    """The name of a known format that is not supported."""
    if is_markup(data) and b"<svg" in data[:1024].lower():
        return "SVG"
    return next((name for name, at, start in _UNSUPPORTED if data[at : at + len(start)] == start), None)


def is_markup(data: bytes) -> bool:
    """Is it a page or an error answer of a web server or object store?"""
    return data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_MARKUP)


def lacks_end(form: str, data: bytes) -> bool:
    """Does the file lack its format's end marker? Always False for BMP and TIFF, which have none."""
    if form == "WEBP":
        return int.from_bytes(data[4:8], "little") + 8 > len(data)
    if form == "PNG":
        return b"IEND" not in data
    return not data.endswith({"JPEG": b"\xff\xd9", "GIF": b";"}.get(form, b""))


def open_image(data: bytes) -> ImageFile.ImageFile:
    """Open an image file's content with Pillow, by its signature.

    Raises:
        SyntaxError: the content is not of this format, or of no supported one. Damaged content raises one of
            `PILLOW_ERRORS`.
    """
    form = image_format(data)
    if form is None:
        raise SyntaxError("not an image")
    return _READERS[form](io.BytesIO(data), "")


def inspect_with_pillow(facts: ImageFacts, data: bytes) -> Inspection:
    """Decode an image to its end.

    Args:
        facts: size, sha256 and format.
        data: the file's content.

    Raises:
        Exception: one of `PILLOW_ERRORS`, if the file is damaged.
    """
    with open_image(data) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            detail = f"{width} x {height} pixels, {MAX_PIXELS / 1e6:.0f} megapixels are allowed"
            return Inspection(facts._replace(defect="too_large", detail=detail))
        orientation = exif_orientation(image)
        write_mode = _write_mode(facts.format, data, image, orientation)
        if facts.format == "JPEG":
            image.draft("L", (max(1, width // 8), max(1, height // 8)))
        image.load()
        grey = None if min(width, height) < SMALLEST_SIDE else image.convert("L").resize((MIN_SIDE, MIN_SIDE), _BOX)
    # Pillow accepts a PNG without its last bytes, OpenCV does not.
    if facts.format == "PNG" and lacks_end("PNG", data):
        return Inspection(facts._replace(defect="truncated", detail="the end of the PNG is missing"))
    if grey is None:
        return Inspection(facts._replace(defect="too_small", detail=f"{width} x {height} pixels"))
    # Pillow turns TIFF images, and no others, while it loads them.
    upright = apply_orientation(np.asarray(grey), 1 if facts.format == "TIFF" else orientation)
    if orientation >= 5:  # These four swap width and height.
        width, height = height, width
    facts = facts._replace(width=width, height=height, orientation=orientation, write_mode=write_mode)
    return Inspection(facts, upright)


def _write_mode(form: str, data: bytes, image: ImageFile.ImageFile, orientation: int) -> WriteMode:
    if form in {"GIF", "TIFF"} or getattr(image, "n_frames", 1) > 1:
        return WriteMode.PNG
    if orientation != 1:
        return WriteMode.UPRIGHT
    return WriteMode.SEAL if form == "JPEG" and lacks_end(form, data) else WriteMode.LINK
