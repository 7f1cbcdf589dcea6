"""Is a file an image that can be trained on, and what is it?

Every image is decoded to its end. A JPEG whose segments show that it is whole is decoded by OpenCV, in grey and small:
that reads the whole stream in a fraction of the time, without Python's lock. All else is decoded by Pillow, which tells
when a file breaks off; OpenCV would hide it.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import GifImagePlugin, Image, ImageFile, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin
from PIL.BmpImagePlugin import BmpImageFile

from handful_core.vision.decode import FORMATS, MAX_PIXELS
from handful_trainer.data.jpeg import jpeg_header
from handful_trainer.data.likeness import SIDE, looks_of, upright
from handful_trainer.data.signatures import image_format, is_markup, lacks_end, other_format

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
_BROKEN = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, AttributeError, EOFError, ArithmeticError, MemoryError,
    RuntimeError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow's decoders raise on files that are broken in one way or another."""
_CUT_OFF_WORDS = ("truncated", "unexpected end", "end of file", "eof", "not enough")
_ORIENTATION = 0x0112
_SHRUNK = {
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
}
"""How a decoder makes images smaller for next to nothing."""
_AS_STORED = cv2.IMREAD_IGNORE_ORIENTATION
_BOX = Image.Resampling.BOX


class Treatment(StrEnum):
    """How an image comes into the prepared dataset, so that every reader sees it upright and whole."""

    LINK = "link"
    """As it is."""
    SEAL = "seal"
    """Copied and ended as a JPEG should be: otherwise Ultralytics would write it anew, with loss."""
    UPRIGHT = "upright"
    """Written upright: not every reader honours the EXIF orientation."""
    PNG = "png"
    """Written as PNG: a format, or several frames, that not every reader knows."""


class ImageFacts(NamedTuple):
    """What a look at an image's file brought out."""

    size: int = 0
    """Bytes."""
    sha256: str = ""
    defect: str = ""
    """Empty if the image is usable; else missing, unreadable, empty, html, noise, unsupported, garbled, truncated,
    too_large or too_small."""
    detail: str = ""
    """What the decoder said, for the report."""
    format: str = ""
    width: int = 0
    """Pixels of the upright image."""
    height: int = 0
    """Pixels of the upright image."""
    orientation: int = 1
    """EXIF orientation, 1 to 8; 1 is upright."""
    treatment: Treatment = Treatment.LINK
    look: int = -1
    """What it looks like: see `likeness`. -1 if nothing can be said."""


def open_image(data: bytes) -> ImageFile.ImageFile:
    """Open an image file's content with Pillow, by the format that it begins like.

    Raises:
        SyntaxError: it is not of this format, or of none that is read. Broken content raises one of many others.
    """
    form = image_format(data)
    if form is None:
        raise SyntaxError("not an image")
    return _READERS[form](io.BytesIO(data), "")


class Sight(NamedTuple):
    """What was found in a file, and what its look is to be taken from."""

    facts: ImageFacts
    """Without the look."""
    grey: NDArray[np.uint8] | None = None
    """The upright image, small; None if there is no usable one."""


def inspect_images(paths: Sequence[Path | str | None]) -> list[ImageFacts]:
    """Read, hash and decode files. Many at once: what is done in numpy is done for all of them together."""
    return _with_looks([_read(path) for path in paths])


def inspect_bytes(data: bytes) -> ImageFacts:
    """Hash and decode an image file's content."""
    return _with_looks([_sight(data)])[0]


def _with_looks(sights: Sequence[Sight]) -> list[ImageFacts]:
    greys = [sight.grey for sight in sights if sight.grey is not None]
    looks = iter(looks_of(greys))
    return [facts if grey is None else facts._replace(look=next(looks)) for facts, grey in sights]


def _read(path: Path | str | None) -> Sight:
    if path is None:
        return Sight(ImageFacts(defect="missing", detail="there is no file"))
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - half the time of Path.read_bytes
            data = file.read()
    except FileNotFoundError:
        return Sight(ImageFacts(defect="missing", detail="there is no file"))
    except OSError as error:
        return Sight(ImageFacts(defect="unreadable", detail=error.strerror or str(error)))
    return _sight(data)


def _sight(data: bytes) -> Sight:
    form, sha256 = image_format(data), hashlib.sha256(data).hexdigest()
    if form is None:
        defect, detail = _no_image(data)
        return Sight(ImageFacts(len(data), sha256, defect, detail))
    facts = ImageFacts(len(data), sha256, format=form)
    try:
        return (_quickly(data, sha256) if form == "JPEG" else None) or _decoded(facts, data)
    except _BROKEN as error:
        detail = " ".join(str(error).replace(repr(error), "").split()) or type(error).__name__
        return Sight(facts._replace(defect=_how_broken(form, data, detail), detail=detail[:120]))


def _quickly(data: bytes, sha256: str) -> Sight | None:
    """The facts of a JPEG that is whole, without Pillow's decoder. None if it is not, or not for certain."""
    header = jpeg_header(data)
    if header is None or header.channels not in {1, 3}:
        return None
    width, height = header.width, header.height
    if width * height > MAX_PIXELS or min(width, height) < SMALLEST_SIDE:
        return None
    shrink = next((by for by in _SHRUNK if min(width, height) >= by * SIDE), 1)
    grey = cv2.imdecode(np.frombuffer(data, np.uint8), _SHRUNK.get(shrink, cv2.IMREAD_GRAYSCALE) | _AS_STORED)
    if grey is None or grey.shape != (-(-height // shrink), -(-width // shrink)):
        return None
    small = np.asarray(grey, np.uint8)
    if header.has_app1:
        with open_image(data) as image:
            orientation = _orientation(image)
        if orientation != 1:
            if orientation >= 5:
                width, height = height, width
            facts = ImageFacts(len(data), sha256, "", "", "JPEG", width, height, orientation, Treatment.UPRIGHT)
            return Sight(facts, upright(small, orientation))
    return Sight(ImageFacts(len(data), sha256, "", "", "JPEG", width, height), small)


def _decoded(facts: ImageFacts, data: bytes) -> Sight:
    with open_image(data) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            detail = f"{width} x {height} pixels, {MAX_PIXELS / 1e6:.0f} megapixels are allowed"
            return Sight(facts._replace(defect="too_large", detail=detail))
        orientation = _orientation(image)
        treatment = _treatment(facts.format, data, image, orientation)
        if facts.format == "JPEG":
            image.draft("L", (max(1, width // 8), max(1, height // 8)))
        image.load()
        grey = None if min(width, height) < SMALLEST_SIDE else image.convert("L").resize((SIDE, SIDE), _BOX)
    if facts.format == "PNG" and lacks_end("PNG", data):  # Pillow is content without the last bytes, OpenCV is not.
        return Sight(facts._replace(defect="truncated", detail="the end of the PNG is missing"))
    if grey is None:
        return Sight(facts._replace(defect="too_small", detail=f"{width} x {height} pixels"))
    # Pillow turns TIFF images, and no others, while it loads them.
    small = upright(np.asarray(grey), 1 if facts.format == "TIFF" else orientation)
    if orientation >= 5:
        width, height = height, width
    return Sight(facts._replace(width=width, height=height, orientation=orientation, treatment=treatment), small)


def _treatment(form: str, data: bytes, image: ImageFile.ImageFile, orientation: int) -> Treatment:
    if form in {"GIF", "TIFF"} or getattr(image, "n_frames", 1) > 1:
        return Treatment.PNG
    if orientation != 1:
        return Treatment.UPRIGHT
    return Treatment.SEAL if form == "JPEG" and lacks_end(form, data) else Treatment.LINK


def _orientation(image: ImageFile.ImageFile) -> int:
    if "exif" not in image.info and image.format != "TIFF":
        return 1
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except _BROKEN:
        return 1  # A damaged EXIF block is common and harmless: all readers ignore it.
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _no_image(data: bytes) -> tuple[str, str]:
    """Defect and detail of a file that is of no format that is read."""
    if not data:
        return "empty", "the file has no bytes"
    if other := other_format(data):
        return "unsupported", f"{other}; use {', '.join(FORMATS)}"
    if is_markup(data):
        return "html", "a web page or error answer, not an image"
    return "noise", "begins like no image format"


def _how_broken(form: str, data: bytes, detail: str) -> str:
    """Broken off, or whole but without sense?"""
    cut_off = (
        any(word in detail.lower() for word in _CUT_OFF_WORDS) if form in {"BMP", "TIFF"} else lacks_end(form, data)
    )
    return "truncated" if cut_off else "garbled"
