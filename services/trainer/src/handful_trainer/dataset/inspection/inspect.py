"""Is a file an image that can be trained on, and what is it?

A JPEG whose segments show that it is whole is decoded by OpenCV, in grey and small: that reads the whole stream in a
fraction of the time, without Python's lock. Where the structure is enough, it is not decoded at all. All else is
decoded by Pillow, which tells when a file breaks off.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from handful_core.vision.decode import FORMATS, MAX_PIXELS, PILLOW_ERRORS, exif_orientation
from handful_core.vision.image_headers import JpegHeader, jpeg_header
from handful_trainer.dataset.inspection.facts import ImageFacts, WriteMode
from handful_trainer.dataset.inspection.formats import image_format, is_markup, lacks_end, other_format
from handful_trainer.dataset.inspection.phash import SIDE, perceptual_hashes, upright
from handful_trainer.dataset.inspection.pillow import (
    SMALLEST_SIDE,
    Inspection,
    decoded,
    open_image,
)

_CUT_OFF_WORDS = ("truncated", "unexpected end", "end of file", "eof", "not enough")
_SHRUNK = {
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    1: cv2.IMREAD_GRAYSCALE,
}
"""How a decoder makes images smaller for next to nothing."""
_AS_STORED = cv2.IMREAD_IGNORE_ORIENTATION


def inspect_images(paths: Iterable[Path | str | None], decode: bool = True) -> list[ImageFacts]:
    """Read and hash files, and look into them. Many at once: what is done in numpy is done for all of them together.

    Args:
        paths: the files; None where there is none.
        decode: decode every image to its end; else not those JPEGs whose structure shows that they are whole.
    """
    return _with_looks([_read(path, decode) for path in paths])


def inspect_bytes(data: bytes, decode: bool = True) -> ImageFacts:
    """Hash an image file's content and look into it."""
    return _with_looks([_sight(data, decode)])[0]


def _with_looks(sights: Sequence[Inspection]) -> list[ImageFacts]:
    looks = iter(perceptual_hashes([grey for _, grey in sights if grey is not None]))
    return [facts if grey is None else facts._replace(look=next(looks)) for facts, grey in sights]


def _read(path: Path | str | None, decode: bool) -> Inspection:
    if path is None:
        return Inspection(ImageFacts(defect="missing", detail="there is no file"))
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - half the time of Path.read_bytes
            data = file.read()
    except FileNotFoundError:
        return Inspection(ImageFacts(defect="missing", detail="there is no file"))
    except OSError as error:
        return Inspection(ImageFacts(defect="unreadable", detail=error.strerror or str(error)))
    return _sight(data, decode)


def _sight(data: bytes, decode: bool) -> Inspection:
    form, sha256 = image_format(data), hashlib.sha256(data).hexdigest()
    if form is None:
        defect, detail = _no_image(data)
        return Inspection(ImageFacts(len(data), sha256, defect, detail))
    facts = ImageFacts(len(data), sha256, "", "", form)
    try:
        return (_quickly(facts, data, decode) if form == "JPEG" else None) or decoded(facts, data)
    except PILLOW_ERRORS as error:
        detail = " ".join(str(error).replace(repr(error), "").split()) or type(error).__name__
        return Inspection(facts._replace(defect=_how_broken(form, data, detail), detail=detail[:120]))


def _quickly(facts: ImageFacts, data: bytes, decode: bool) -> Inspection | None:
    """A JPEG that is whole, without Pillow's decoder. None if it is not, or not for certain."""
    header = jpeg_header(data)
    if header is None or header.channels not in {1, 3}:
        return None
    width, height, orientation, treatment = header.width, header.height, 1, WriteMode.LINK
    if width * height > MAX_PIXELS or min(width, height) < SMALLEST_SIDE:
        return None
    if header.has_app1:
        with open_image(data) as image:
            orientation = exif_orientation(image)
    decode |= orientation != 1  # It will be, to be turned.
    grey = _decoded_small(header, data) if decode else None
    if decode and grey is None:
        return None
    if grey is not None and orientation != 1:
        treatment, grey = WriteMode.UPRIGHT, upright(grey, orientation)
        if orientation >= 5:
            width, height = height, width
    size, sha256 = facts[:2]
    return Inspection(
        ImageFacts(size, sha256, "", "", "JPEG", width, height, orientation, treatment, decoded=decode), grey
    )


def _decoded_small(header: JpegHeader, data: bytes) -> NDArray[np.uint8] | None:
    """The image in grey, as it is stored; None if OpenCV does not make of it what the header says."""
    least = min(header.width, header.height) // SIDE
    shrink = 8 if least >= 8 else 4 if least >= 4 else 2 if least >= 2 else 1
    grey = cv2.imdecode(np.frombuffer(data, np.uint8), _SHRUNK[shrink] | _AS_STORED)
    if grey is None or grey.shape != (-(-header.height // shrink), -(-header.width // shrink)):
        return None
    return grey.view(np.uint8)


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
