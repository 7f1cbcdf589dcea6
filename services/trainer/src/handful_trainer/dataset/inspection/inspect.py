"""Is a file an image that can be trained on, and what is in it?

A JPEG whose segments show that it is whole is decoded by OpenCV, in grey and reduced: that reads the whole stream in a
fraction of the time, without Python's lock. Where the structure is enough, it is not decoded at all. Everything else is
decoded by Pillow, which reports truncated files.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from handful_core.vision.decode import FORMATS, MAX_PIXELS, PILLOW_ERRORS, exif_orientation
from handful_core.vision.image_headers import JpegHeader, jpeg_header
from handful_trainer.dataset.inspection.phash import MIN_SIDE, apply_orientation, perceptual_hashes
from handful_trainer.dataset.inspection.pillow import (
    SMALLEST_SIDE,
    Inspection,
    image_format,
    inspect_with_pillow,
    is_markup,
    lacks_end,
    open_image,
    unsupported_format,
)

if TYPE_CHECKING:
    from handful_trainer.workers import WorkerPool

_TRUNCATION_WORDS = ("truncated", "unexpected end", "end of file", "eof", "not enough")
_REDUCED = {
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    1: cv2.IMREAD_GRAYSCALE,
}
"""OpenCV's flag by the factor that an image is reduced by while it is decoded."""
_AS_STORED = cv2.IMREAD_IGNORE_ORIENTATION


def inspect_all(
    workers: WorkerPool, paths: Sequence[Path | None], advance: Callable[[int], object], *, decode: bool = True
) -> Iterator[ImageFacts]:
    """Inspect files in parallel; yields in order, the first while others are still inspected.

    Args:
        workers: do the work.
        paths: the images; None where there is no file.
        advance: called with the number of files that are newly done.
        decode: decode every image, not only those whose structure is odd.
    """
    files = [path and os.fspath(path) for path in paths]
    with warnings.catch_warnings():  # Threads share the filters.
        warnings.simplefilter("ignore")  # Pillow warns of odd but usable files.
        yield from workers.run(partial(inspect_images, decode=decode), files, advance)


def inspect_images(paths: Iterable[Path | str | None], decode: bool = True) -> list[ImageFacts]:
    """Read, hash and inspect files. Many in one call: numpy makes their perceptual hashes all together.

    Args:
        paths: the files; None where there is none.
        decode: decode every image to its end; else not those JPEGs whose structure shows that they are whole.
    """
    return _with_phashes([_inspect_file(path, decode) for path in paths])


def inspect_bytes(data: bytes, decode: bool = True) -> ImageFacts:
    """Inspect an image file's content."""
    return _with_phashes([_inspect(data, decode)])[0]


def _with_phashes(inspections: Sequence[Inspection]) -> list[ImageFacts]:
    phashes = iter(perceptual_hashes([grey for _, grey in inspections if grey is not None]))
    return [facts if grey is None else facts._replace(phash=next(phashes)) for facts, grey in inspections]


def _inspect_file(path: Path | str | None, decode: bool) -> Inspection:
    if path is None:
        return Inspection(ImageFacts(defect="missing", detail="there is no file"))
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - half the time of Path.read_bytes
            data = file.read()
    except FileNotFoundError:
        return Inspection(ImageFacts(defect="missing", detail="there is no file"))
    except OSError as error:
        return Inspection(ImageFacts(defect="unreadable", detail=error.strerror or str(error)))
    return _inspect(data, decode)


def _inspect(data: bytes, decode: bool) -> Inspection:
    form, facts = image_format(data), ImageFacts(size=len(data), sha256=hashlib.sha256(data).hexdigest())
    if form is None:
        defect, detail = _why_no_image(data)
        return Inspection(facts._replace(defect=defect, detail=detail))
    facts = facts._replace(format=form)
    try:
        return (_inspect_jpeg(facts, data, decode) if form == "JPEG" else None) or inspect_with_pillow(facts, data)
    except PILLOW_ERRORS as error:
        # Some errors of Pillow quote another one: its repr is left out of what people read.
        detail = " ".join(str(error).replace(repr(error), "").split()) or type(error).__name__
        return Inspection(facts._replace(defect=_decode_defect(form, data, detail), detail=detail[:120]))


def _inspect_jpeg(facts: ImageFacts, data: bytes, decode: bool) -> Inspection | None:
    """The fast path for a JPEG that is whole: without Pillow's decoder. None if it is not, or not for certain."""
    header = jpeg_header(data)
    if header is None or header.channels not in {1, 3}:
        return None
    width, height = header.width, header.height
    if width * height > MAX_PIXELS or min(width, height) < SMALLEST_SIDE:
        return None
    orientation = 1
    if header.has_app1:
        with open_image(data) as image:
            orientation = exif_orientation(image)
    decode |= orientation != 1  # It will be rewritten upright, so it has to be readable.
    grey = _decode_reduced(header, data) if decode else None
    if decode and grey is None:
        return None
    write_mode = WriteMode.LINK
    if grey is not None and orientation != 1:
        write_mode, grey = WriteMode.UPRIGHT, apply_orientation(grey, orientation)
        if orientation >= 5:  # These four swap width and height.
            width, height = height, width
    facts = facts._replace(width=width, height=height, orientation=orientation, write_mode=write_mode, decoded=decode)
    return Inspection(facts, grey)


def _decode_reduced(header: JpegHeader, data: bytes) -> NDArray[np.uint8] | None:
    """(height, width): the image in grey, reduced, as stored. None if its size is not the one in the header."""
    # As small as the perceptual hash allows: the inverse DCT is most of the time beside the Huffman code.
    most = min(header.width, header.height) // MIN_SIDE
    factor = 8 if most >= 8 else 4 if most >= 4 else 2 if most >= 2 else 1
    grey = cv2.imdecode(np.frombuffer(data, np.uint8), _REDUCED[factor] | _AS_STORED)
    if grey is None or grey.shape != (-(-header.height // factor), -(-header.width // factor)):
        return None
    return grey.view(np.uint8)


def _why_no_image(data: bytes) -> tuple[str, str]:
    """Defect and detail of a file of no supported format."""
    if not data:
        return "empty", "the file has no bytes"
    if name := unsupported_format(data):
        return "unsupported", f"{name}; use {', '.join(FORMATS)}"
    if is_markup(data):
        return "html", "a web page or error answer, not an image"
    return "noise", "begins like no image format"


def _decode_defect(form: str, data: bytes, detail: str) -> str:
    """Why decoding failed: the file is truncated, or complete but garbled."""
    truncated = (
        any(word in detail.lower() for word in _TRUNCATION_WORDS) if form in {"BMP", "TIFF"} else lacks_end(form, data)
    )
    return "truncated" if truncated else "garbled"


class WriteMode(StrEnum):
    """How an image gets into the prepared dataset, so that every reader sees it upright and whole."""

    LINK = "link"
    """Unchanged: linked, or copied where links do not work."""
    SEAL = "seal"
    """Copied, with the missing JPEG end marker added: else Ultralytics re-encodes the file, which loses quality."""
    UPRIGHT = "upright"
    """Rewritten upright, since not every reader applies the EXIF orientation."""
    PNG = "png"
    """Rewritten as PNG: the format, or its several frames, are not supported by every reader."""


class ImageFacts(NamedTuple):
    """What the inspection of one image file found.

    A named tuple, since many thousands of them are pickled between processes.
    """

    size: int = 0
    """Bytes."""
    sha256: str = ""
    defect: str = ""
    """Empty if the image is usable; else missing, unreadable, empty, html, noise, unsupported, garbled, truncated,
    too_large or too_small."""
    detail: str = ""
    """The decoder's message, for the report."""
    format: str = ""
    """Pillow's name of the format."""
    width: int = 0
    """Pixels of the upright image."""
    height: int = 0
    """Pixels of the upright image."""
    orientation: int = 1
    """EXIF orientation, 1 to 8; 1 is upright."""
    write_mode: WriteMode = WriteMode.LINK
    phash: int = -1
    """Perceptual hash, 64 bits: see `perceptual_hashes`. -1 if there is none."""
    decoded: bool = True
    """False if only the file's structure was checked, so that garbled pixels go unnoticed."""
